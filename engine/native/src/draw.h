// Draws one token from a row of logits: temperature, top-k, top-p, min-p, XTC, one number.
//
// All filters keep the likeliest tokens up to some rank, and XTC leaves out the first of them: what
// is drawn from is a run of ranks. Nothing is sorted to find it. Weights fall into buckets by the
// upper bits of their floats, which rise with the number; only the bucket in which a rank lies is
// ever put in order. `engine.model.draw` says the same in torch.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "team.h"
#include "vec.h"

namespace kaiwa {

// As `engine.native.structs` lays it out; field by field the same.
struct DrawRow {
  const float* logits;       // [vocab], finite or minus infinity, at least one finite
  const int32_t* protected_; // tokens that XTC must not exclude
  double top_p;              // 1 keeps all
  double uniform;            // in [0, 1)
  float temperature;
  float min_p;               // 0 keeps all
  float xtc_threshold;       // below 0: XTC does not act
  int32_t top_k;             // the vocabulary's size keeps all
  int32_t num_protected;
};

class Drawer {
 public:
  int draw(const DrawRow& row, int vocab) {
    weigh(row, vocab);
    const bool limits = row.top_k < vocab;
    if (!limits && row.top_p >= 1.0 && row.min_p <= 0 && row.xtc_threshold < 0)
      return draw_whole(row.uniform * total_);
    fill_buckets(lowest_of_interest(row, vocab));
    Cut kept = limits ? by_rank(row.top_k) : Cut{vocab, total_};
    if (row.top_p < 1.0) kept = lesser(kept, by_mass(row.top_p * kept.mass));
    if (row.min_p > 0) kept = lesser(kept, by_weight(row.min_p));
    if (kept.rank == vocab) kept = by_rank(vocab);
    const Cut left_out = excluded(row, kept);
    return at_mass(left_out.mass + row.uniform * (kept.mass - left_out.mass), left_out.rank, kept.rank);
  }

 private:
  // The tokens of lower rank than this, the likeliest having rank 0, weigh `mass` together.
  struct Cut {
    int rank;
    double mass;
  };
  struct Candidate {
    float weight;
    int token;
    bool operator<(const Candidate& other) const {
      return weight != other.weight ? weight > other.weight : token < other.token;
    }
  };

  static constexpr int kStretch = 128;  // tokens whose sum and maximum are kept
  static constexpr int kDropped = 18;   // bits of a float that do not decide its bucket
  static constexpr int kBuckets = (0x3f800000 >> kDropped) + 1;  // weights are at most 1

  int vocab_ = 0, lowest_ = 0, sorted_bucket_ = -1;
  double total_ = 0;
  std::vector<float> weights_;         // [vocab, padded to stretches]
  std::vector<float> most_, maxima_;   // [stretches]
  std::vector<double> sums_;           // [stretches]
  std::vector<double> mass_;           // [buckets]
  std::vector<int> counts_;            // [buckets]
  std::vector<Candidate> sorted_;      // the tokens of `sorted_bucket_`

  static int bucket_of(float weight) {
    uint32_t bits;
    std::memcpy(&bits, &weight, 4);
    return int(bits >> kDropped);
  }

  static Cut lesser(Cut a, Cut b) { return b.rank < a.rank ? b : a; }

  // weights = e^((logits - the largest) / temperature), with sums and maxima of each stretch
  void weigh(const DrawRow& row, int vocab) {
    const int stretches = (vocab + kStretch - 1) / kStretch;
    vocab_ = vocab;
    weights_.resize(size_t(stretches) * kStretch);
    sums_.resize(stretches);
    most_.resize(stretches);
    std::memcpy(weights_.data(), row.logits, size_t(vocab) * sizeof(float));
    std::fill(weights_.begin() + vocab, weights_.end(), -INFINITY);
    floatv most = splat(-INFINITY);
    for (size_t i = 0; i < weights_.size(); i += kLanes) most = maximum(most, load<floatv>(&weights_[i]));
    const float largest = reduce_max(most);
    total_ = 0;
    for (int s = 0; s < stretches; s++) {
      floatv sum = splat(0.0f), highest = splat(0.0f);
      for (int i = 0; i < kStretch; i += kLanes) {
        float* at = &weights_[size_t(s) * kStretch + i];
        const floatv x = (load<floatv>(at) - largest) / row.temperature;
        const floatv e = select(x < splat(-87.0f), splat(0.0f), exponential(x));
        store(at, e);
        sum += e;
        highest = maximum(highest, e);
      }
      sums_[s] = reduce_add(sum);
      most_[s] = reduce_max(highest);
      total_ += sums_[s];
    }
  }

  // In the vocabulary's order: first a stretch, then a token.
  int draw_whole(double target) const {
    double behind = 0, before = 0;
    int stretch = 0, token = -1;
    for (int s = 0; s < int(sums_.size()); s++) {
      if (most_[s] <= 0) continue;
      stretch = s;
      before = behind;
      behind += sums_[s];
      if (behind > target) break;
    }
    for (int i = stretch * kStretch; i < (stretch + 1) * kStretch; i++) {
      if (weights_[i] <= 0) continue;
      token = i;  // rounding may put the target behind the last that weighs anything: then it is that
      before += weights_[i];
      if (before > target) break;
    }
    return token;
  }

  // Below this weight no filter reaches; what lies there is not worth a bucket.
  float lowest_of_interest(const DrawRow& row, int vocab) {
    float lowest = 0;
    if (row.top_k < vocab) {
      // As many stretches hold a token of at least this weight.
      if (row.top_k > int(most_.size())) return 0;
      maxima_ = most_;
      std::nth_element(maxima_.begin(), maxima_.begin() + row.top_k - 1, maxima_.end(),
                       std::greater<float>());
      lowest = maxima_[row.top_k - 1];
    } else {
      // All that weigh less weigh less than the nucleus leaves out.
      if (row.top_p < 1.0) lowest = float(0.5 * (1.0 - row.top_p) * total_ / vocab);
      if (row.min_p > lowest) lowest = row.min_p;
    }
    return lowest;
  }

  void fill_buckets(float lowest) {
    counts_.assign(kBuckets, 0);
    mass_.assign(kBuckets, 0.0);
    sorted_bucket_ = -1;
    int first = kBuckets - 1;
    int* const counts = counts_.data();
    double* const mass = mass_.data();
    const float least = std::max(lowest, std::numeric_limits<float>::min());
    for (size_t s = 0; s < most_.size(); s++) {
      if (most_[s] < least) continue;
      const float* const weights = &weights_[s * kStretch];
      for (int i = 0; i < kStretch; i++) {
        if (weights[i] < least) continue;
        const int bucket = bucket_of(weights[i]);
        counts[bucket]++;
        mass[bucket] += weights[i];
        first = std::min(first, bucket);
      }
    }
    lowest_ = first;
    // A bucket that `lowest` cuts is whole all the same: whoever sorts it finds all of it.
    if (lowest > 0) complete(bucket_of(lowest));
  }

  void complete(int bucket) {
    const std::vector<Candidate>& all = in_order(bucket);
    counts_[bucket] = int(all.size());
    mass_[bucket] = 0;
    for (const Candidate& c : all) mass_[bucket] += c.weight;
    if (!all.empty()) lowest_ = std::min(lowest_, bucket);
  }

  // A bucket's tokens, the likeliest first.
  const std::vector<Candidate>& in_order(int bucket) {
    if (bucket == sorted_bucket_) return sorted_;
    sorted_.clear();
    const uint32_t bits = uint32_t(bucket) << kDropped, next = uint32_t(bucket + 1) << kDropped;
    float from, to;
    std::memcpy(&from, &bits, 4);
    std::memcpy(&to, &next, 4);
    for (size_t s = 0; s < most_.size(); s++) {
      if (most_[s] < from) continue;
      for (int i = int(s) * kStretch; i < int(s + 1) * kStretch; i += kLanes) {
        const floatv w = load<floatv>(&weights_[i]);
        if (!any((w >= splat(from)) & (w < splat(to)) & (w > splat(0.0f)))) continue;
        for (int j = i; j < i + kLanes; j++)
          if (weights_[j] >= from && weights_[j] < to && weights_[j] > 0) sorted_.push_back({weights_[j], j});
      }
    }
    std::sort(sorted_.begin(), sorted_.end());
    sorted_bucket_ = bucket;
    return sorted_;
  }

  // The likeliest `rank` tokens, or all that weigh anything.
  Cut by_rank(int rank) {
    Cut cut{0, 0};
    for (int b = kBuckets - 1; b >= lowest_; b--) {
      if (cut.rank + counts_[b] <= rank) {
        cut = {cut.rank + counts_[b], cut.mass + mass_[b]};
        continue;
      }
      for (const Candidate& c : in_order(b)) {
        if (cut.rank == rank) break;
        cut = {cut.rank + 1, cut.mass + c.weight};
      }
      break;
    }
    return cut;
  }

  // The fewest tokens that weigh so much: a token stays while those before it do not.
  Cut by_mass(double bound) {
    Cut cut{0, 0};
    for (int b = kBuckets - 1; b >= lowest_; b--) {
      if (cut.mass + mass_[b] < bound) {
        cut = {cut.rank + counts_[b], cut.mass + mass_[b]};
        continue;
      }
      for (const Candidate& c : in_order(b)) {
        if (cut.rank > 0 && cut.mass >= bound) break;
        cut = {cut.rank + 1, cut.mass + c.weight};
      }
      break;
    }
    return cut;
  }

  // The tokens that weigh at least so much each.
  Cut by_weight(float least) {
    const int bucket = bucket_of(least);
    Cut cut{0, 0};
    for (int b = kBuckets - 1; b > bucket; b--) cut = {cut.rank + counts_[b], cut.mass + mass_[b]};
    for (const Candidate& c : in_order(bucket)) {
      if (c.weight < least) break;
      cut = {cut.rank + 1, cut.mass + c.weight};
    }
    return cut;
  }

  float weight_at(int rank) {
    int before = 0;
    for (int b = kBuckets - 1; b >= lowest_; b--) {
      if (before + counts_[b] > rank) return in_order(b)[rank - before].weight;
      before += counts_[b];
    }
    return 0;
  }

  // XTC: of the tokens that are likely enough, all but the least likely.
  Cut excluded(const DrawRow& row, Cut kept) {
    if (row.xtc_threshold < 0) return {0, 0};
    const double threshold = row.xtc_threshold * kept.mass;
    const int above = threshold <= 1.0 ? lesser(kept, by_weight(float(threshold))).rank : 0;
    if (above < 2) return {0, 0};
    const float least = weight_at(above - 1);
    for (int i = 0; i < row.num_protected; i++) {
      const int token = row.protected_[i];
      if (token < vocab_ && weights_[token] > least) return {0, 0};
    }
    return by_weight(std::nextafter(least, INFINITY));
  }

  // The token in ranks [first, end) that the target falls on.
  int at_mass(double target, int first, int end) {
    Cut cut{0, 0};
    int token = -1;
    for (int b = kBuckets - 1; b >= lowest_; b--) {
      const bool is_last = cut.rank + counts_[b] >= end;
      if (!is_last && (cut.mass + mass_[b] <= target || cut.rank + counts_[b] <= first)) {
        cut = {cut.rank + counts_[b], cut.mass + mass_[b]};
        continue;
      }
      for (const Candidate& c : in_order(b)) {
        if (cut.rank == end) break;
        cut = {cut.rank + 1, cut.mass + c.weight};
        if (cut.rank <= first) continue;
        token = c.token;
        if (cut.mass > target) return token;
      }
      if (is_last) break;
    }
    return token;
  }
};

// Rows are shared out to the team's threads; each has scratch memory of its own.
class Drawers {
 public:
  void run(Team& team, const DrawRow* rows, int count, int vocab, int32_t* tokens) {
    if (int(drawers_.size()) < team.size()) drawers_.resize(team.size());
    team.run([&](Member& me) {
      me.each(count, [&](int i) { tokens[i] = drawers_[me.index()].draw(rows[i], vocab); });
    });
  }

 private:
  std::vector<Drawer> drawers_;
};

}  // namespace kaiwa
