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
constexpr int kRows = 6;  // rows times tile vectors fill the 32 registers of AVX-512

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
  const uint32_t* const w[kTileVecs] = {base, base + 16, base + 32, base + 48};
  if (ahead)
    dot_tile<T, R, kTileVecs, true>(acc, x.words + size_t(row) * words, words, w, kTile, words, ahead);
  else
    dot_tile<T, R, kTileVecs>(acc, x.words + size_t(row) * words, words, w, kTile, words);
  for (int r = 0; r < R; r++) {
    f32x16 out[kTileVecs];
    for (int c = 0; c < kTileVecs; c++) {
      const int column = tile * kTile + c * kLanes;
      if constexpr (T::kPerWord == 4)
        out[c] = to_float(acc[r][c] - load<i32x16>(lin.offset + column)) *
                 (load<f32x16>(lin.scale + column) * x.scale[row + r]);
      else
        out[c] = acc[r][c];
      if (lin.bias) out[c] += load<f32x16>(lin.bias + column);
    }
    sink(row + r, out);
  }
}

// Computes one tile of outputs for all rows; `sink(row, out)` gets its four vectors.
template <class T, class Sink>
inline void linear_tile(const Linear& lin, const Rows& x, int tile, Sink&& sink) {
  const int words = lin.k / T::kPerWord;
  const int groups = (x.count + kRows - 1) / kRows;
  // While later rows compute from the cache the memory would idle: fetch the next tile meanwhile.
  const char* next = static_cast<const char*>(lin.weight) + size_t(tile + 1) * words * kTile * 4;
  for (int g = 0, row = 0; g < groups; g++) {
    const int rows = (x.count - row + groups - g - 1) / (groups - g);
    const char* ahead = g == 1 && tile + 1 < lin.num_tiles ? next : nullptr;
    with_constant<kRows>(rows, [&](auto r) {
      row_group<T, r.value>(lin, x, row, tile, words, ahead, sink);
    });
    row += rows;
  }
}

template <class Sink>
inline void linear(Member& me, const Linear& lin, const Rows& x, Sink&& sink) {
  me.each(lin.num_tiles, [&](int tile) {
    auto here = [&](int row, const f32x16(&out)[kTileVecs]) { sink(tile, row, out); };
    switch (lin.kind) {
      case kF32: return linear_tile<F32>(lin, x, tile, here);
      case kBF16: return linear_tile<BF16>(lin, x, tile, here);
      default: return linear_tile<I8>(lin, x, tile, here);
    }
  });
}

// Writes a row as unsigned bytes around 128, and returns what one unit is worth.
template <class A>
inline float quantize_row(const typename A::Element* from, uint8_t* to, int k) {
  f32x16 most = splat(0.0f), broken = splat(0.0f);
  for (int i = 0; i < k; i += kLanes) {
    const f32x16 v = A::get(from + i);
    most = maximum(most, maximum(v, -v));
    broken += v * 0.0f;  // not a number as soon as one of them is none, or infinite
  }
  const float largest = reduce_max(most);
  const float unit = largest > 0 ? largest / 127.0f : 1.0f;
  const float inverse = 1.0f / unit;
  for (int i = 0; i < k; i += kLanes) {
    const f32x16 v = A::get(from + i) * inverse + (12582912.0f + 128.0f);
    const i32x16 whole = ((i32x16)v & 0x1ff);  // the mantissa's low bits are the rounded number
    typedef uint8_t u8x16 __attribute__((vector_size(16)));
    store(to + i, __builtin_convertvector(whole, u8x16));
  }
  return unit + reduce_add(broken);
}

}  // namespace kaiwa
