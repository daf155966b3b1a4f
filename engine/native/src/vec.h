// Sixteen lanes at a time: numbers, conversions, and the one inner loop of every product.
//
// An operand is a row of 32-bit words. A word holds one float, two bfloat16 or four 8-bit integers,
// so that one broadcast word meets sixteen words of the other side in one instruction. What a lane
// adds up, and in which order, never depends on how many rows are computed beside it: a reply does
// not change with its batch-mates.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace kaiwa {

constexpr int kLanes = 16;

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));

template <class V>
inline V load(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

template <class V>
inline void store(void* to, V v) {
  std::memcpy(to, &v, sizeof(V));
}

inline f32x16 splat(float x) { return x - f32x16{}; }

inline f32x16 select(i32x16 mask, f32x16 yes, f32x16 no) { return mask ? yes : no; }

inline f32x16 maximum(f32x16 a, f32x16 b) { return select(a > b, a, b); }

// Halves onto halves, which is the order of AVX-512's own reduction too.
inline float reduce_add(f32x16 v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  return lanes[0];
#endif
}

inline float reduce_max(f32x16 v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  return lanes[0];
#endif
}

// Whether a comparison holds in any lane.
inline bool any(i32x16 mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#else
  int32_t lanes[kLanes], all = 0;
  store(lanes, mask);
  for (int lane : lanes) all |= lane;
  return all != 0;
#endif
}

inline f32x16 to_float(i32x16 v) { return __builtin_convertvector(v, f32x16); }

// e^x to about one unit in the last place: 2^n * e^r with |r| <= ln(2)/2 (Cephes `expf`).
inline f32x16 exponential(f32x16 x) {
  const f32x16 low = splat(-87.3f), high = splat(88.3f);
  x = select(x < low, low, x);
  x = select(x > high, high, x);
  const f32x16 shift = splat(12582912.0f);  // 1.5 * 2^23: rounds to the nearest integer
  f32x16 n = x * 1.44269504088896341f + shift;
  i32x16 power = ((i32x16)n << 23) + (127 << 23);
  n -= shift;
  f32x16 r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  f32x16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (f32x16)power;
}

inline f32x16 tangent_h(f32x16 x) { return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f); }

// bfloat16 is the upper half of a float, rounded to the nearest even.
inline u16x16 to_bf16(f32x16 v) {
#if defined(__AVX512BF16__)
  return (u16x16)_mm512_cvtneps_pbh((__m512)v);
#else
  u32x16 bits = (u32x16)v;
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_convertvector(bits >> 16, u16x16);
#endif
}

inline f32x16 from_bf16(u16x16 v) { return (f32x16)(__builtin_convertvector(v, u32x16) << 16); }

inline uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t(bits >> 16 | 0x40);  // stays not-a-number
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float from_bf16(uint16_t x) {
  uint32_t bits = uint32_t(x) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// The kinds of operands. `kPerWord` numbers share a word; `dot` adds word by word products.
struct F32 {
  using Element = float;
  using Acc = f32x16;
  static constexpr int kPerWord = 1;
  static Acc dot(Acc acc, uint32_t a, u32x16 b) {
    float x;
    std::memcpy(&x, &a, 4);
    return acc + splat(x) * (f32x16)b;
  }
  static void put(Element* to, f32x16 v) { store(to, v); }
  static f32x16 get(const Element* from) { return load<f32x16>(from); }
  static Element one(float x) { return x; }
};

struct BF16 {
  using Element = uint16_t;
  using Acc = f32x16;
  static constexpr int kPerWord = 2;
  static Acc dot(Acc acc, uint32_t a, u32x16 b) {
#if defined(__AVX512BF16__)
    return (f32x16)_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32(int(a)), (__m512bh)b);
#else
    const u32x16 both = a - u32x16{};
    acc += (f32x16)(both << 16) * (f32x16)(b << 16);
    return acc + (f32x16)(both & 0xffff0000u) * (f32x16)(b & 0xffff0000u);
#endif
  }
  static void put(Element* to, f32x16 v) { store(to, to_bf16(v)); }
  static f32x16 get(const Element* from) { return from_bf16(load<u16x16>(from)); }
  static Element one(float x) { return to_bf16(x); }
};

// The left side is unsigned (a signed number plus 128), the right side signed, as VNNI wants it.
struct I8 {
  using Element = uint8_t;
  using Acc = i32x16;
  static constexpr int kPerWord = 4;
  static Acc dot(Acc acc, uint32_t a, u32x16 b) {
#if defined(__AVX512VNNI__)
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, _mm512_set1_epi32(int(a)), (__m512i)b);
#else
    for (int byte = 0; byte < 4; byte++) {
      const i32x16 right = (i32x16)(b << (24 - 8 * byte)) >> 24;
      acc += int32_t(a >> (8 * byte) & 0xffu) * right;
    }
    return acc;
#endif
  }
};

// Calls f(0) … f(N - 1), each with its number as a constant: arrays indexed so live in registers.
template <int N, class F>
inline __attribute__((always_inline)) void unrolled(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

// acc[r][c] += row r of the left side times column group c of the right side, over `n` words.
//
// `x` has rows `x_stride` words apart; `w[c]` points to sixteen words, the next ones of the same
// columns `w_stride` words further on. `ahead`, when not null, is memory to be fetched meanwhile.
template <class T, int R, int C, bool kFetch = false>
inline __attribute__((always_inline)) void dot_tile(typename T::Acc (&acc)[R][C], const uint32_t* x,
                                                    size_t x_stride, const uint32_t* const (&w)[C],
                                                    size_t w_stride, int n,
                                                    const char* ahead = nullptr) {
  typename T::Acc sum[R][C];
  unrolled<R>([&](auto r) __attribute__((always_inline)) {
    unrolled<C>([&](auto c) __attribute__((always_inline)) { sum[r][c] = acc[r][c]; });
  });
  for (int k = 0; k < n; k++) {
    u32x16 right[C];
    unrolled<C>([&](auto c) __attribute__((always_inline)) {
      right[c] = load<u32x16>(w[c] + k * w_stride);
      if constexpr (kFetch) __builtin_prefetch(ahead + (size_t(k) * C + c) * 64, 0, 2);
    });
    unrolled<R>([&](auto r) __attribute__((always_inline)) {
      const uint32_t left = x[r * x_stride + k];
      unrolled<C>([&](auto c) __attribute__((always_inline)) { sum[r][c] = T::dot(sum[r][c], left, right[c]); });
    });
  }
  unrolled<R>([&](auto r) __attribute__((always_inline)) {
    unrolled<C>([&](auto c) __attribute__((always_inline)) { acc[r][c] = sum[r][c]; });
  });
}

// Calls f with the number as a compile-time constant, 1 <= n <= kMost.
template <int kMost, class F>
inline void with_constant(int n, F&& f) {
  if constexpr (kMost == 1) {
    f(std::integral_constant<int, 1>{});
  } else {
    if (n == kMost)
      f(std::integral_constant<int, kMost>{});
    else
      with_constant<kMost - 1>(n, f);
  }
}

}  // namespace kaiwa
