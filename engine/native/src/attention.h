// Attention over paged keys and values: nothing is gathered, no mask matrix is built.
//
// A block holds 16 tokens of one layer. Its keys lie as `[kv_heads][dim words][16 tokens]`, so that
// scores come out of the accumulators as they are; its values as `[kv_heads][16 tokens / per word][dim]`.
// Keys are taken in segments of 64, counted from the sequence's first token; each is summed up by
// itself and merged in order (online softmax), so a row's arithmetic is the same alone, in a batch,
// in a prompt chunk, and where rows share the segments of a common prefix, which is read once for
// all of them.
#pragma once

#include <algorithm>
#include <vector>

#include "team.h"
#include "vec.h"

namespace kaiwa {

constexpr int kBlock = 16;
constexpr int kSegment = 64;
constexpr int kSegmentBlocks = kSegment / kBlock;
constexpr int kSegmentVecs = kSegment / kLanes;
constexpr int kMostQueries = 48;

// How one token's key and value of one head go into their block. `clears` zeroes the tokens behind.
template <class A>
struct BlockOf {
  using Element = typename A::Element;
  static constexpr int kPer = A::kPerWord;

  static void put_key(Element* keys, int dim, int place, const float* from, bool clears) {
    for (int d = 0; d < dim; d += kPer) {
      Element* word = keys + size_t(d) * kBlock + place * kPer;
      for (int i = 0; i < kPer; i++) word[i] = A::one(from[d + i]);
      if (clears) std::memset(word + kPer, 0, size_t(kBlock - 1 - place) * 4);
    }
  }

  static void put_value(Element* values, int dim, int place, const float* from, bool clears) {
    Element* row = values + size_t(place / kPer) * dim * kPer;
    const int half = place % kPer;
    for (int d = 0; d < dim; d++) row[d * kPer + half] = A::one(from[d]);
    if (!clears) return;
    for (int other = half + 1; other < kPer; other++)
      for (int d = 0; d < dim; d++) row[d * kPer + other] = 0;
    const int rows = kBlock / kPer - 1 - place / kPer;
    std::memset(row + size_t(dim) * kPer, 0, size_t(rows) * dim * 4);
  }
};

struct AttentionShape {
  int heads, kv_heads, dim;
  float scaling;
  float softcap;       // 0: none
  const float* sinks;  // [heads], or null
  int window;          // 0: none
};

// One new token: it sees the keys before `end` of the sequence whose blocks are in `table`.
struct Query {
  int token;
  int end;
  int sequence;
  const int32_t* table;
};

// Consecutive queries computed together; the first `shared` segments are the same for all.
struct QueryTile {
  int first, count, shared;
};

// Sequences as they come in a step.
struct Sequence {
  int first_token, count, start;
  const int32_t* table;
};

// Puts sequences with a common beginning side by side and cuts them into tiles.
class QueryPlan {
 public:
  std::vector<Query> queries;
  std::vector<QueryTile> tiles;

  void build(const std::vector<Sequence>& sequences, int heads_per_kv, int kv_heads, int threads) {
    queries.clear();
    tiles.clear();
    order_.resize(sequences.size());
    int total = 0;
    for (size_t i = 0; i < sequences.size(); i++) {
      order_[i] = int(i);
      total += sequences[i].count;
    }
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      return before(sequences[a], sequences[b]);
    });
    for (int index : order_) {
      const Sequence& s = sequences[index];
      for (int i = 0; i < s.count; i++)
        queries.push_back({s.first_token + i, s.start + i + 1, index, s.table});
    }
    const int most = std::max(1, kMostQueries / heads_per_kv);
    const int least = std::min(most, (kRows + heads_per_kv - 1) / heads_per_kv);
    const int fair = (total * kv_heads + 4 * threads - 1) / (4 * threads);
    const int size = std::clamp(fair, least, most);
    for (int first = 0; first < total;) {
      int count = 1, shared = full_segments(queries[first]);
      while (count < size && first + count < total) {
        const int with_next = common(queries[first], queries[first + count], shared);
        if (2 * with_next < shared) break;
        shared = with_next;
        count++;
      }
      tiles.push_back({first, count, shared});
      first += count;
    }
  }

 private:
  std::vector<int> order_;

  static int full_segments(const Query& q) { return (q.end + kSegment - 1) / kSegment; }

  // How many segments, at most `most`, two queries can read together.
  static int common(const Query& a, const Query& b, int most) {
    if (a.sequence == b.sequence) return std::max(full_segments(a), full_segments(b));
    most = std::min({most, a.end / kSegment, b.end / kSegment});
    for (int s = 0; s < most; s++)
      for (int i = 0; i < kSegmentBlocks; i++)
        if (a.table[s * kSegmentBlocks + i] != b.table[s * kSegmentBlocks + i]) return s;
    return most;
  }

  static bool before(const Sequence& a, const Sequence& b) {
    const int own = (a.start + a.count) / kBlock, others = (b.start + b.count) / kBlock;
    for (int i = 0; i < std::min(own, others); i++)
      if (a.table[i] != b.table[i]) return a.table[i] < b.table[i];
    return own != others ? own < others : a.first_token < b.first_token;
  }
};

// What one thread needs to attend; allocated once.
struct AttentionScratch {
  std::vector<uint32_t> query, weights;
  std::vector<float> out, most, sum;
  void resize(int dim) {
    query.resize(size_t(kMostQueries) * dim);
    weights.resize(size_t(kRows) * kSegment);
    out.resize(size_t(kMostQueries) * dim);
    most.resize(kMostQueries);
    sum.resize(kMostQueries);
  }
};

template <class A>
class Attention {
 public:
  using Element = typename A::Element;

  Attention(const AttentionShape& shape, const void* keys, const void* values,
            AttentionScratch& scratch)
      : shape_(shape),
        words_(shape.dim / A::kPerWord),
        head_words_(size_t(kBlock) * words_),
        block_words_(head_words_ * shape.kv_heads),
        keys_(static_cast<const uint32_t*>(keys)),
        values_(static_cast<const uint32_t*>(values)),
        scratch_(scratch) {}

  // Attends for the heads of one key head of one tile, whose queries are given.
  //   query, out: [tokens][heads * dim]
  void run(const Query* queries, const QueryTile& tile, int kv_head, const Element* query,
           Element* out) {
    const int share = shape_.heads / shape_.kv_heads, count = tile.count * share;
    kv_head_ = kv_head;
    for (int i = 0; i < count; i++)
      std::memcpy(&scratch_.query[size_t(i) * words_],
                  query + row(queries[i / share].token, kv_head * share + i % share), words_ * 4);
    std::fill_n(scratch_.out.begin(), size_t(count) * shape_.dim, 0.0f);
    std::fill_n(scratch_.most.begin(), count, -INFINITY);
    std::fill_n(scratch_.sum.begin(), count, 0.0f);
    span(queries, 0, tile.count, 0, tile.shared);
    for (int i = 0; i < tile.count;) {
      int end = i + 1;
      while (end < tile.count && queries[end].sequence == queries[i].sequence) end++;
      const int segments = (queries[end - 1].end + kSegment - 1) / kSegment;
      span(queries, i, end, tile.shared, segments);
      i = end;
    }
    for (int i = 0; i < count; i++) {
      const int head = kv_head * share + i % share;
      float sum = scratch_.sum[i];
      if (shape_.sinks) sum += std::exp(shape_.sinks[head] - scratch_.most[i]);
      const float* from = &scratch_.out[size_t(i) * shape_.dim];
      Element* to = out + row(queries[i / share].token, head);
      for (int d = 0; d < shape_.dim; d += kLanes) A::put(to + d, load<floatv>(from + d) / sum);
    }
  }

 private:
  size_t row(int token, int head) const {
    return (size_t(token) * shape_.heads + head) * shape_.dim;
  }

  // Queries [begin, end) of a tile over segments [from, to) of the first one's table.
  void span(const Query* queries, int begin, int end, int from, int to) {
    const int share = shape_.heads / shape_.kv_heads;
    if (shape_.window) {
      int shortest = queries[begin].end;
      for (int i = begin; i < end; i++) shortest = std::min(shortest, queries[i].end);
      from = std::max(from, (shortest - shape_.window) / kSegment);
    }
    for (int segment = from; segment < to; segment++)
      for (int i = begin * share; i < end * share; i += kRows)
        with_constant<kRows>(std::min(kRows, end * share - i), [&](auto rows) {
          merge<rows.value>(queries, i, queries[begin].table, queries[end - 1].end, segment);
        });
  }

  template <int R>
  void merge(const Query* queries, int first, const int32_t* table, int end, int segment) {
    const int share = shape_.heads / shape_.kv_heads;
    const int blocks = std::min(kSegmentBlocks, (end + kBlock - 1) / kBlock - segment * kSegmentBlocks);
    const uint32_t *key[kSegmentBlocks], *value[kSegmentBlocks];
    for (int b = 0; b < kSegmentBlocks; b++) {  // beyond the end nothing is seen: any block will do
      const size_t block = table[segment * kSegmentBlocks + std::min(b, blocks - 1)];
      key[b] = keys_ + block * block_words_ + kv_head_ * head_words_;
      value[b] = values_ + block * block_words_ + kv_head_ * head_words_;
    }
    // Blocks lie apart, and the processor fetches ahead within one only.
    for (int b = 0; b < blocks; b++) fetch(value[b]);
    const uint32_t* tokens[kSegmentVecs];
    for (int c = 0; c < kSegmentVecs; c++) tokens[c] = key[c / kPerSixteen] + c % kPerSixteen * kLanes;
    floatv scores[R][kSegmentVecs] = {};
    dot_tile<A, R, kSegmentVecs>(scores, &scratch_.query[size_t(first) * words_], words_, tokens, kBlock,
                                 words_);
    const int next = (segment + 1) * kSegmentBlocks, held = (end + kBlock - 1) / kBlock;
    for (int b = next; b < std::min(next + kSegmentBlocks, held); b++)
      fetch(keys_ + size_t(table[b]) * block_words_ + kv_head_ * head_words_);
    float decay[R];
    for (int r = 0; r < R; r++) {
      const Query& query = queries[(first + r) / share];
      decay[r] = soften(scores[r], query, first + r, segment, r);
    }
    for (int d = 0; d < shape_.dim; d += kTileWidth)
      with_constant<kTileWidth / 16>(std::min(kTileWidth, shape_.dim - d) / 16, [&](auto sixteens) {
        add_values<R, sixteens.value * kPerSixteen>(value, blocks, first, d, decay);
      });
  }

  // Turns scores into weights for the values; returns what the sums so far are worth from now on.
  float soften(floatv (&scores)[kSegmentVecs], const Query& query, int index, int segment, int r) {
    const int lowest = shape_.window ? std::max(0, query.end - shape_.window) : 0;
    const bool sees_all = (segment + 1) * kSegment <= query.end && lowest <= segment * kSegment;
    floatv most = splat(-INFINITY);
    for (int c = 0; c < kSegmentVecs; c++) {
      floatv s = scores[c] * shape_.scaling;
      if (shape_.softcap != 0) s = tangent_h(s / shape_.softcap) * shape_.softcap;
      if (!sees_all) {
        const intv position = lane_numbers() + (segment * kSegment + c * kLanes);
        s = select((position < query.end) & (position >= lowest), s, splat(-INFINITY));
      }
      scores[c] = s;
      most = maximum(s, most);
    }
    Element* weights = reinterpret_cast<Element*>(&scratch_.weights[size_t(r) * kSegment / A::kPerWord]);
    const float before = scratch_.most[index], highest = std::max(before, reduce_max(most));
    if (highest == -INFINITY) {  // nothing seen yet, and nothing here
      for (int c = 0; c < kSegmentVecs; c++) A::put(weights + c * kLanes, splat(0.0f));
      return 1.0f;
    }
    floatv sum = splat(0.0f);
    for (int c = 0; c < kSegmentVecs; c++) {
      const floatv seen = scores[c];
      floatv e = exponential(seen - highest);
      if (!sees_all) e = select(seen == splat(-INFINITY), splat(0.0f), e);
      sum += e;
      A::put(weights + c * kLanes, e);
    }
    float decay = 1.0f;
    if (before == -INFINITY)
      decay = 0.0f;
    else if (before != highest)
      decay = exponential(splat(before - highest))[0];
    scratch_.sum[index] = scratch_.sum[index] * decay + reduce_add(sum);
    scratch_.most[index] = highest;
    return decay;
  }

  void fetch(const uint32_t* block) const {
    for (size_t word = 0; word < head_words_; word += 16) __builtin_prefetch(block + word, 0, 2);
  }

  template <int R, int C>
  void add_values(const uint32_t* const (&value)[kSegmentBlocks], int blocks, int first, int d,
                  const float (&decay)[R]) {
    constexpr int kSteps = kBlock / A::kPerWord;
    floatv acc[R][C] = {};
    for (int b = 0; b < blocks; b++) {
      const uint32_t* w[C];
      for (int c = 0; c < C; c++) w[c] = value[b] + d + c * kLanes;
      dot_tile<A, R, C>(acc, &scratch_.weights[size_t(b) * kSteps], kSegment / A::kPerWord, w,
                        shape_.dim, kSteps);
    }
    for (int r = 0; r < R; r++)
      for (int c = 0; c < C; c++) {
        float* out = &scratch_.out[size_t(first + r) * shape_.dim + d + c * kLanes];
        store(out, load<floatv>(out) * decay[r] + acc[r][c]);
      }
  }

  static constexpr int kTileWidth = 64;

  const AttentionShape& shape_;
  const int words_;
  const size_t head_words_, block_words_;
  const uint32_t *keys_, *values_;
  AttentionScratch& scratch_;
  int kv_head_ = 0;
};

}  // namespace kaiwa
