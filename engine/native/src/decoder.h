// One step of a decoder-only transformer over a packed batch.
//
// Embedding, then per layer: norm, q/k/v in one product, head norms and rotary positions, paged
// attention, output product with the residual added, norm, gate and up in one product with the
// activation applied, down product with the residual added. The residual stream stays in float32.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "attention.h"
#include "linear.h"
#include "team.h"
#include "vec.h"

namespace kaiwa {

enum Activation : int32_t { kSilu = 0, kGeluTanh = 1, kGelu = 2 };

// As `engine.native.structs` lays them out; field by field the same.
struct Layer {
  const float* attention_norm;       // [hidden]; null where the block has none before
  const float* query_norm;           // [head_dim], or null; [heads][head_dim] if `spans_heads`
  const float* key_norm;             // [head_dim], or null; [kv_heads][head_dim] if `spans_heads`
  const float* after_attention_norm; // [hidden], or null
  const float* mlp_norm;             // [hidden]
  const float* after_mlp_norm;       // [hidden], or null
  Linear qkv, output, gate_up, down;
  void* keys;                        // [num_blocks][kv_heads][dim words][16]
  void* values;                      // [num_blocks][kv_heads][16 / per word][dim]
  const float* sinks;                // [heads], or null
  const float* rotary;               // [positions][cos: rotary_dim / 2, sin: the same]
  float scaling;
  float softcap;
  int32_t window;
  int32_t spans_heads;               // whether one norm spans all of a token's heads
};

struct Model {
  const Layer* layers;
  const float* final_norm;  // [hidden]
  const void* embedding;    // [vocab][hidden] as it was, or null: it is `head`
  Linear head;
  int32_t num_layers, hidden, heads, kv_heads, head_dim, intermediate, vocab, rotary_dim;
  int32_t norm_dim;         // head_dim without its padding
  int32_t activation;
  int32_t kind;             // of activations and KV
  float epsilon, embedding_scale, residual_scale, logit_scale, logit_softcap;
};

struct Step {
  const int32_t* tokens;         // [num_tokens]
  const int32_t* starts;         // [num_sequences] tokens that are stored already
  const int32_t* counts;         // [num_sequences] new tokens
  const int32_t* const* tables;  // [num_sequences] block ids of each, oldest first
  const int32_t* logit_rows;     // [num_logits] tokens whose logits are wanted
  float* logits;                 // [num_logits][vocab]
  int32_t* largest;              // [num_logits] the likeliest token; -1 where not all are finite
  double* seconds;               // [kParts] where the time goes is added here; or null
  int32_t num_tokens, num_sequences, num_logits;
};

// What a step's time is accounted to; `engine.native.structs.PARTS` names them.
enum Part { kEmbed, kNorm, kQkv, kPlace, kAttention, kOutput, kGateUp, kDown, kHead, kParts };

template <class A>
class Decoder {
 public:
  using Element = typename A::Element;

  explicit Decoder(const Model& model) : m_(model) {}

  void run(Team& team, const Step& step) {
    prepare(team, step);
    team.run([&](Member& me) { walk(me, step); });
  }

 private:
  const Model m_;
  std::chrono::steady_clock::time_point since_;
  QueryPlan plan_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> positions_, owner_;
  std::vector<AttentionScratch> scratch_;
  // Rows of the step; they grow to the largest step seen and are kept.
  std::vector<float> residual_, wide_, unit_;
  std::vector<Element> input_, query_, attended_, gated_;
  std::vector<I8::LeftNumber> levels_;

  int q_width() const { return m_.heads * m_.head_dim; }
  int kv_width() const { return m_.kv_heads * m_.head_dim; }

  void prepare(Team& team, const Step& step) {
    const size_t n = step.num_tokens;
    grow(residual_, n * m_.hidden);
    grow(wide_, n * std::max(q_width() + 2 * kv_width(), m_.hidden));
    grow(unit_, n);
    grow(input_, n * m_.hidden);
    grow(query_, n * q_width());
    grow(attended_, n * q_width());
    grow(gated_, n * m_.intermediate);
    grow(levels_, n * std::max({m_.hidden, q_width(), m_.intermediate}));
    if (int(scratch_.size()) < team.size()) {
      scratch_.resize(team.size());
      for (auto& scratch : scratch_) scratch.resize(m_.head_dim);
    }
    sequences_.clear();
    positions_.resize(n);
    owner_.resize(n);
    for (int i = 0, token = 0; i < step.num_sequences; i++) {
      sequences_.push_back({token, step.counts[i], step.starts[i], step.tables[i]});
      for (int j = 0; j < step.counts[i]; j++, token++) {
        positions_[token] = step.starts[i] + j;
        owner_[token] = i;
      }
    }
    plan_.build(sequences_, m_.heads / m_.kv_heads, m_.kv_heads, team.size());
  }

  template <class V>
  static void grow(V& buffer, size_t size) {
    if (buffer.size() < size) buffer.resize(size);
  }

  // Accounts the time since the last call to a part of the step; one thread keeps the books.
  void account(Member& me, const Step& step, Part part) {
    if (!step.seconds || me.index() != 0) return;
    const auto now = std::chrono::steady_clock::now();
    step.seconds[part] += std::chrono::duration<double>(now - since_).count();
    since_ = now;
  }

  void walk(Member& me, const Step& step) {
    const int n = step.num_tokens;
    if (me.index() == 0) since_ = std::chrono::steady_clock::now();
    me.each(n, [&](int i) { embed(step.tokens[i], &residual_[size_t(i) * m_.hidden]); });
    account(me, step, kEmbed);
    for (int index = 0; index < m_.num_layers; index++) {
      const Layer& layer = m_.layers[index];
      normalize(me, n, layer.attention_norm);
      account(me, step, kNorm);
      const int qkv = q_width() + 2 * kv_width();
      product(me, layer.qkv, input_.data(), n, [&](int tile, int row, const floatv(&out)[kTileVecs]) {
        put(&wide_[size_t(row) * qkv], qkv, tile, out);
      });
      account(me, step, kQkv);
      me.each(n * m_.kv_heads, [&](int i) { place(layer, i / m_.kv_heads, i % m_.kv_heads); });
      account(me, step, kPlace);
      attend(me, layer);
      account(me, step, kAttention);
      to_residual(me, layer.output, attended_.data(), n, layer.after_attention_norm);
      account(me, step, kOutput);
      normalize(me, n, layer.mlp_norm);
      account(me, step, kNorm);
      product(me, layer.gate_up, input_.data(), n, [&](int tile, int row, const floatv(&out)[kTileVecs]) {
        gate(&gated_[size_t(row) * m_.intermediate], tile, out);
      });
      account(me, step, kGateUp);
      to_residual(me, layer.down, gated_.data(), n, layer.after_mlp_norm);
      account(me, step, kDown);
    }
    if (step.num_logits) read_out(me, step);
    account(me, step, kHead);
  }

  void embed(int token, float* to) const {
    if (m_.embedding) {
      const Element* from = static_cast<const Element*>(m_.embedding) + size_t(token) * m_.hidden;
      for (int d = 0; d < m_.hidden; d += kLanes)
        store(to + d, A::get(from + d) * m_.embedding_scale);
      return;
    }
    const Linear& head = m_.head;
    const int per_word = head.kind == kI8 ? 4 : head.kind == kBF16 ? 2 : 1, words = head.k / per_word;
    const uint32_t* from = static_cast<const uint32_t*>(head.weight) +
                           size_t(token / kTile) * words * kTile + token % kTile;
    for (int k = 0; k < words; k++) {
      const uint32_t word = from[size_t(k) * kTile];
      for (int i = 0; i < per_word; i++) {
        float value;
        if (head.kind == kI8)
          value = float(int8_t(word >> (8 * i))) * head.scale[token];
        else if (head.kind == kBF16)
          value = from_bf16(uint16_t(word >> (16 * i)));
        else
          std::memcpy(&value, &word, 4);
        to[k * per_word + i] = value * m_.embedding_scale;
      }
    }
  }

  // One over the root mean square of `count` numbers, among which there may be zeros more.
  float inverse_spread(const float* row, int width, int count) const {
    floatv sum = splat(0.0f);
    for (int d = 0; d < width; d += kLanes) {
      const floatv v = load<floatv>(row + d);
      sum += v * v;
    }
    return 1.0f / std::sqrt(reduce_add(sum) / float(count) + m_.epsilon);
  }

  // input = norm(residual)
  void normalize(Member& me, int n, const float* weight) {
    me.each(n, [&](int i) { norm_row(&residual_[size_t(i) * m_.hidden], weight, &input_[size_t(i) * m_.hidden]); });
  }

  void norm_row(const float* row, const float* weight, Element* to) const {
    const float inverse = weight ? inverse_spread(row, m_.hidden, m_.hidden) : 1.0f;
    for (int d = 0; d < m_.hidden; d += kLanes) {
      floatv v = load<floatv>(row + d);
      if (weight) v = v * inverse * load<floatv>(weight + d);
      A::put(to + d, v);
    }
  }

  template <class Sink>
  void product(Member& me, const Linear& lin, const Element* from, int n, Sink&& sink) {
    if (lin.kind != kI8)
      return linear<A>(me, lin, {reinterpret_cast<const uint32_t*>(from), nullptr, n}, sink);
    me.each(n, [&](int i) {
      unit_[i] = quantize_row<A>(from + size_t(i) * lin.k, &levels_[size_t(i) * lin.k], lin.k);
    });
    linear<A>(me, lin, {reinterpret_cast<const uint32_t*>(levels_.data()), unit_.data(), n}, sink);
  }

  static void put(float* row, int width, int tile, const floatv (&out)[kTileVecs]) {
    for (int c = 0; c < kTileVecs; c++) {
      const int column = tile * kTile + c * kLanes;
      if (column < width) store(row + column, out[c]);
    }
  }

  // residual += product, normed first where the block says so
  void to_residual(Member& me, const Linear& lin, const Element* from, int n, const float* norm) {
    product(me, lin, from, n, [&](int tile, int row, const floatv(&out)[kTileVecs]) {
      if (norm) return put(&wide_[size_t(row) * m_.hidden], m_.hidden, tile, out);
      for (int c = 0; c < kTileVecs; c++) {
        const int column = tile * kTile + c * kLanes;
        if (column >= m_.hidden) break;
        float* to = &residual_[size_t(row) * m_.hidden + column];
        store(to, load<floatv>(to) + out[c] * m_.residual_scale);
      }
    });
    if (!norm) return;
    me.each(n, [&](int i) {
      const float* row = &wide_[size_t(i) * m_.hidden];
      const float inverse = inverse_spread(row, m_.hidden, m_.hidden);
      for (int d = 0; d < m_.hidden; d += kLanes) {
        float* to = &residual_[size_t(i) * m_.hidden + d];
        const floatv v = load<floatv>(row + d) * inverse * load<floatv>(norm + d);
        store(to, load<floatv>(to) + v * m_.residual_scale);
      }
    });
  }

  // A tile of the gate and up product holds 32 gates and the 32 ups that they open.
  void gate(Element* row, int tile, const floatv (&out)[kTileVecs]) const {
    for (int c = 0; c < kTileVecs / 2; c++) {
      const int column = tile * kTile / 2 + c * kLanes;
      if (column >= m_.intermediate) break;
      A::put(row + column, activate(out[c]) * out[c + kTileVecs / 2]);
    }
  }

  floatv activate(floatv x) const {
    if (m_.activation == kSilu) return x / (1.0f + exponential(-x));
    if (m_.activation == kGeluTanh)
      return 0.5f * x * (1.0f + tangent_h(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    floatv y = x;
    for (int i = 0; i < kLanes; i++) y[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * 0.70710678f));
    return y;
  }

  // Head norms, rotary positions; queries go to their buffer, keys and values to their block.
  void place(const Layer& layer, int token, int kv_head) {
    const int dim = m_.head_dim, share = m_.heads / m_.kv_heads;
    const int position = positions_[token];
    const Sequence& sequence = sequences_[owner_[token]];
    const float* row = &wide_[size_t(token) * (q_width() + 2 * kv_width())];
    const float* rotary = layer.rotary ? layer.rotary + size_t(position) * m_.rotary_dim : nullptr;
    const float* key = row + q_width() + kv_head * dim;
    float head[1024];  // `MAX_HEAD_DIM` of engine/decoder/surgery.py
    const HeadNorm query_norm(*this, layer.query_norm, layer.spans_heads, row, m_.heads);
    const HeadNorm key_norm(*this, layer.key_norm, layer.spans_heads, row + q_width(), m_.kv_heads);
    for (int i = kv_head * share; i < (kv_head + 1) * share; i++) {
      turn(row + i * dim, query_norm, i, rotary, head);
      Element* to = &query_[size_t(token) * q_width() + i * dim];
      for (int d = 0; d < dim; d += kLanes) A::put(to + d, load<floatv>(head + d));
    }
    const size_t block = size_t(sequence.table[position / kBlock]) * m_.kv_heads + kv_head;
    Element* keys = static_cast<Element*>(layer.keys) + block * kBlock * dim;
    Element* values = static_cast<Element*>(layer.values) + block * kBlock * dim;
    const int place = position % kBlock;
    turn(key, key_norm, kv_head, rotary, head);
    // Whatever a broken sequence left in this block must not reach the heir: zero times
    // not-a-number is not zero. The last new token clears what lies behind it.
    const bool is_last = token + 1 == sequence.first_token + sequence.count;
    const bool clears = is_last && (place == 0 || sequence.count > 1);
    BlockOf<A>::put_key(keys, dim, place, head, clears);
    BlockOf<A>::put_value(values, dim, place, row + q_width() + kv_width() + kv_head * dim, clears);
  }

  // The norm of a token's heads, each by itself or all together.
  struct HeadNorm {
    const float* weight;
    int stride;     // from one head's weights to the next one's
    float inverse;  // of all heads; 0 where each has its own
    HeadNorm(const Decoder& decoder, const float* weight, bool spans, const float* heads, int count)
        : weight(weight), stride(spans ? decoder.m_.head_dim : 0), inverse(0) {
      const Model& m = decoder.m_;
      if (weight && spans)
        inverse = decoder.inverse_spread(heads, count * m.head_dim, count * m.norm_dim);
    }
  };

  // Norm and rotation of one head; the second half of the rotated part is the pair of the first.
  void turn(const float* from, const HeadNorm& norm, int index, const float* rotary, float* to) const {
    const int dim = m_.head_dim, half = m_.rotary_dim / 2;
    const float* weight = norm.weight ? norm.weight + index * norm.stride : nullptr;
    float inverse = norm.inverse;
    if (weight && inverse == 0) inverse = inverse_spread(from, dim, m_.norm_dim);
    for (int d = 0; d < dim; d += kLanes) {
      floatv v = load<floatv>(from + d);
      if (weight) v = v * inverse * load<floatv>(weight + d);
      store(to + d, v);
    }
    if (!rotary) return;
    const float *__restrict cosine = rotary, *__restrict sine = rotary + half;
    float *__restrict first = to, *__restrict second = to + half;
    for (int d = 0; d < half; d++) {
      const float a = first[d], b = second[d];
      first[d] = a * cosine[d] - b * sine[d];
      second[d] = b * cosine[d] + a * sine[d];
    }
  }

  void attend(Member& me, const Layer& layer) {
    const AttentionShape shape{m_.heads,      m_.kv_heads,  m_.head_dim, layer.scaling,
                               layer.softcap, layer.sinks, layer.window};
    Attention<A> attention(shape, layer.keys, layer.values, scratch_[me.index()]);
    me.each(int(plan_.tiles.size()) * m_.kv_heads, [&](int item) {
      const QueryTile& tile = plan_.tiles[item / m_.kv_heads];
      attention.run(&plan_.queries[tile.first], tile, item % m_.kv_heads, query_.data(),
                    attended_.data());
    });
  }

  void read_out(Member& me, const Step& step) {
    const int n = step.num_logits, vocab = m_.vocab;
    me.each(n, [&](int i) {
      norm_row(&residual_[size_t(step.logit_rows[i]) * m_.hidden], m_.final_norm,
               &input_[size_t(i) * m_.hidden]);
    });
    product(me, m_.head, input_.data(), n, [&](int tile, int row, const floatv(&out)[kTileVecs]) {
      float* to = step.logits + size_t(row) * vocab;
      for (int c = 0; c < kTileVecs; c++) {
        const int column = tile * kTile + c * kLanes;
        if (column >= vocab) break;
        floatv v = out[c] * m_.logit_scale;
        if (m_.logit_softcap != 0) v = tangent_h(v / m_.logit_softcap) * m_.logit_softcap;
        if (column + kLanes <= vocab)
          store(to + column, v);
        else
          std::memcpy(to + column, &v, (vocab - column) * sizeof(float));
      }
    });
    me.each(n, [&](int i) { step.largest[i] = likeliest(step.logits + size_t(i) * vocab, vocab); });
  }

  // The first of the largest, or -1 where any is not a finite number.
  static int likeliest(const float* row, int count) {
    floatv most = splat(-INFINITY), broken = splat(0.0f);
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const floatv v = load<floatv>(row + i);
      most = maximum(v, most);
      broken += v * 0.0f;
    }
    float highest = reduce_max(most), wrong = reduce_add(broken);
    for (int rest = i; rest < count; rest++) {
      highest = std::max(highest, row[rest]);
      wrong += row[rest] * 0.0f;
    }
    if (wrong != 0.0f) return -1;
    for (int found = 0; found < count; found++)
      if (row[found] == highest) return found;
    return -1;
  }
};

}  // namespace kaiwa
