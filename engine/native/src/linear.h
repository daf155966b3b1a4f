// Products of rows with a packed weight.
//
// A weight `[n, k]` lies in tiles of 64 outputs, padded with zeros: `[n / 64][k words][64]` words.
// A tile is read once from memory and then serves every row from the cache.
#pragma once

#include "team.h"
#include "vec.h"

namespace kaiwa {

constexpr int kTile = 64;
constexpr int kTileVecs = kTile / kLanes;

enum Kind : int32_t { kF32 = 0, kBF16 = 1, kI8 = 2 };

struct Linear {
  const void* weight;    // packed
  const float* bias;     // [n padded to tiles], or null
  const float* scale;    // kI8: [n padded], what one unit of an output channel is worth
  const int32_t* offset; // kI8: [n padded], 128 times the sum of the channel's weights
  int32_t n;             // outputs
  int32_t k;             // inputs
  int32_t kind;
  int32_t num_tiles;
};

// The left side of a product: `rows` rows of `words` words each. `scale` belongs to 8-bit rows.
struct Rows {
  const uint32_t* words;
  const float* scale;
  int count;
};

template <class T, int R, class Sink>
inline void row_group(const Linear& lin, const Rows& x, int row, int tile, int words,
                      const char* ahead, Sink&& sink) {
  typename T::Acc acc[R][kTileVecs] = {};
  const uint32_t* base = static_cast<const uint32_t*>(lin.weight) + size_t(tile) * words * kTile;
  const uint32_t* w[kTileVecs];
  for (int c = 0; c < kTileVecs; c++) w[c] = base + c * kLanes;
  const size_t stride = size_t(words) * T::kLeftWords;
  if (ahead)
    dot_tile<T, R, kTileVecs, true>(acc, x.words + row * stride, stride, w, kTile, words, ahead);
  else
    dot_tile<T, R, kTileVecs>(acc, x.words + row * stride, stride, w, kTile, words);
  for (int r = 0; r < R; r++) {
    floatv out[kTileVecs];
    for (int c = 0; c < kTileVecs; c++) {
      const int column = tile * kTile + c * kLanes;
      if constexpr (T::kPerWord == 4)
        out[c] = to_float(acc[r][c] - load<intv>(lin.offset + column)) *
                 (load<floatv>(lin.scale + column) * x.scale[row + r]);
      else
        out[c] = acc[r][c];
      if (lin.bias) out[c] += load<floatv>(lin.bias + column);
    }
    sink(row + r, out);
  }
}

// Computes one tile of outputs for all rows; `sink(row, out)` gets its vectors. This thread's next
// tile is probably `stride` tiles further on.
template <class T, class Sink>
inline void linear_tile(const Linear& lin, const Rows& x, int tile, int stride, Sink&& sink) {
  const int words = lin.k / T::kPerWord;
  const int groups = (x.count + kRows - 1) / kRows;
  // While later rows compute from the cache the memory would idle: fetch the next tile meanwhile.
  const char* next = static_cast<const char*>(lin.weight) + size_t(tile + stride) * words * kTile * 4;
  for (int g = 0, row = 0; g < groups; g++) {
    const int rows = (x.count - row + groups - g - 1) / (groups - g);
    const bool computes_again = g == 1 || (groups == 1 && columns_at_once(rows, kTileVecs) < kTileVecs);
    const char* ahead = computes_again && tile + stride < lin.num_tiles ? next : nullptr;
    with_constant<kRows>(rows, [&](auto r) {
      row_group<T, r.value>(lin, x, row, tile, words, ahead, sink);
    });
    row += rows;
  }
}

// What multiplies rows of some kind with bfloat16 weights.
template <class A>
struct Mixed {
  using Type = F32WithBF16;
};
template <>
struct Mixed<BF16> {
  using Type = BF16;
};

// `A` is what the rows hold, unless the weight is 8-bit.
template <class A, class Sink>
inline void linear(Member& me, const Linear& lin, const Rows& x, Sink&& sink) {
  me.each(lin.num_tiles, [&](int tile) {
    auto here = [&](int row, const floatv(&out)[kTileVecs]) { sink(tile, row, out); };
    switch (lin.kind) {
      case kF32: return linear_tile<F32>(lin, x, tile, me.team_size(), here);
      case kBF16: return linear_tile<typename Mixed<A>::Type>(lin, x, tile, me.team_size(), here);
      default: return linear_tile<I8>(lin, x, tile, me.team_size(), here);
    }
  });
}

// Writes a row as the left side of 8-bit products, numbers around 128, and returns what one unit is worth.
template <class A>
inline float quantize_row(const typename A::Element* from, I8::LeftNumber* to, int k) {
  floatv most = splat(0.0f), broken = splat(0.0f);
  for (int i = 0; i < k; i += kLanes) {
    const floatv v = A::get(from + i);
    most = maximum(most, maximum(v, -v));
    broken += v * 0.0f;  // not a number as soon as one of them is none, or infinite
  }
  const float largest = reduce_max(most);
  const float unit = largest > 0 ? largest / 127.0f : 1.0f;
  const float inverse = 1.0f / unit;
  for (int i = 0; i < k; i += kLanes) {
    const floatv v = A::get(from + i) * inverse + (12582912.0f + 128.0f);
    const intv whole = ((intv)v & 0x1ff);  // the mantissa's low bits are the rounded number
    I8::put_left(to + i, whole);
  }
  return unit + reduce_add(broken);
}

}  // namespace kaiwa
