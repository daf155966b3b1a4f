// As many lanes at a time as the processor has: numbers, conversions, and the one inner loop of every
// product.
//
// An operand is a row of 32-bit words. A word holds one float, two bfloat16 or four 8-bit integers,
// so that one broadcast word meets a vector of words of the other side in one instruction. What a
// lane adds up, and in which order, never depends on how many rows are computed beside it: a reply
// does not change with its batch-mates.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace kaiwa {

// Whatever is laid out comes in sixteens, which are so many vectors.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__x86_64__)
constexpr int kLanes = 4, kRegisters = 16;
#else
constexpr int kLanes = 4, kRegisters = 32;
#endif
constexpr int kPerSixteen = 16 / kLanes;

// Sums that a product keeps in registers, beside its operands, and rows computed together.
constexpr int kAccumulators = kRegisters == 32 ? 24 : 8;
constexpr int kRows = kRegisters == 32 ? 6 : 4;

typedef float floatv __attribute__((vector_size(4 * kLanes)));
typedef int32_t intv __attribute__((vector_size(4 * kLanes)));
typedef uint32_t wordv __attribute__((vector_size(4 * kLanes)));
typedef int16_t shortv __attribute__((vector_size(4 * kLanes)));    // two in each word
typedef uint16_t ushortv __attribute__((vector_size(4 * kLanes)));  // two in each word
typedef uint16_t halfv __attribute__((vector_size(2 * kLanes)));
typedef uint8_t bytev __attribute__((vector_size(kLanes)));

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

inline floatv splat(float x) { return x - floatv{}; }

inline wordv splat(uint32_t x) { return x - wordv{}; }

// 0, 1, 2 …
inline intv lane_numbers() {
  static constexpr int32_t kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load<intv>(kNumbers);
}

inline floatv select(intv mask, floatv yes, floatv no) { return mask ? yes : no; }

inline floatv maximum(floatv a, floatv b) { return select(a > b, a, b); }

// Halves onto halves, which is the order of AVX-512's own reduction too.
inline float reduce_add(floatv v) {
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

inline float reduce_max(floatv v) {
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
inline bool any(intv mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#else
  int32_t lanes[kLanes], all = 0;
  store(lanes, mask);
  for (int lane : lanes) all |= lane;
  return all != 0;
#endif
}

inline floatv to_float(intv v) { return __builtin_convertvector(v, floatv); }

// e^x to about one unit in the last place: 2^n * e^r with |r| <= ln(2)/2 (Cephes `expf`).
inline floatv exponential(floatv x) {
  const floatv low = splat(-87.3f), high = splat(88.3f);
  x = select(x < low, low, x);
  x = select(x > high, high, x);
  const floatv shift = splat(12582912.0f);  // 1.5 * 2^23: rounds to the nearest integer
  floatv n = x * 1.44269504088896341f + shift;
  intv power = ((intv)n << 23) + (127 << 23);
  n -= shift;
  floatv r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  floatv p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (floatv)power;
}

inline floatv tangent_h(floatv x) { return 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f); }

// bfloat16 is the upper half of a float, rounded to the nearest even.
inline halfv to_bf16(floatv v) {
#if defined(__AVX512BF16__)
  return (halfv)_mm512_cvtneps_pbh((__m512)v);
#else
  wordv bits = (wordv)v;
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_convertvector(bits >> 16, halfv);
#endif
}

inline floatv from_bf16(halfv v) { return (floatv)(__builtin_convertvector(v, wordv) << 16); }

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

// What one word of the left side makes with a vector of words of the right side. `kPerWord` numbers
// share a word; the left side has `kLeftWords` words for each of them. Both sides are prepared once
// and used many times: a left word for all columns, a right vector for all rows.
struct F32 {
  using Element = float;
  using Acc = floatv;
  using Left = floatv;
  using Right = floatv;
  static constexpr int kPerWord = 1, kLeftWords = 1;
  static Left left(const uint32_t* x) { return splat(load<float>(x)); }
  static Right right(wordv w) { return (floatv)w; }
  static Acc dot(Acc acc, Left a, Right b) { return acc + a * b; }
  static void put(Element* to, floatv v) { store(to, v); }
  static floatv get(const Element* from) { return load<floatv>(from); }
  static Element one(float x) { return x; }
};

// The two numbers of each word as floats.
struct Pair {
  floatv first, second;
  Pair() = default;
  explicit Pair(wordv w) : first((floatv)(w << 16)), second((floatv)(w & 0xffff0000u)) {}
  Pair(floatv first, floatv second) : first(first), second(second) {}
};

inline floatv dot_pairs(floatv acc, const Pair& a, const Pair& b) {
  acc += a.first * b.first;
  return acc + a.second * b.second;
}

struct BF16 {
  using Element = uint16_t;
  using Acc = floatv;
  static constexpr int kPerWord = 2, kLeftWords = 1;
#if defined(__AVX512BF16__)
  using Left = __m512bh;
  using Right = __m512bh;
  static Left left(const uint32_t* x) { return (__m512bh)_mm512_set1_epi32(int(*x)); }
  static Right right(wordv w) { return (__m512bh)w; }
  static Acc dot(Acc acc, Left a, Right b) { return (floatv)_mm512_dpbf16_ps((__m512)acc, a, b); }
#else
  using Left = Pair;
  using Right = Pair;
  static Left left(const uint32_t* x) { return Pair(splat(*x)); }
  static Right right(wordv w) { return Pair(w); }
  static Acc dot(Acc acc, const Left& a, const Right& b) { return dot_pairs(acc, a, b); }
#endif
  static void put(Element* to, floatv v) { store(to, to_bf16(v)); }
  static floatv get(const Element* from) { return from_bf16(load<halfv>(from)); }
  static Element one(float x) { return to_bf16(x); }
};

// Floats with bfloat16 weights: adds up what floats with the same weights as floats would, in the
// same order, and reads half of the bytes.
struct F32WithBF16 {
  using Acc = floatv;
  using Left = Pair;
  using Right = Pair;
  static constexpr int kPerWord = 2, kLeftWords = 2;
  static Left left(const uint32_t* x) { return Pair(F32::left(x), F32::left(x + 1)); }
  static Right right(wordv w) { return Pair(w); }
  static Acc dot(Acc acc, const Left& a, const Right& b) { return dot_pairs(acc, a, b); }
};

// Products of 16-bit integers, two and two added up.
inline intv add_up_pairs(shortv a, shortv b) {
#if defined(__AVX512BW__)
  return (intv)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && !defined(__AVX512F__)
  return (intv)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__x86_64__) && !defined(__AVX__)
  return (intv)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  const intv x = (intv)a, y = (intv)b;
  return (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
#endif
}

// The left side is unsigned (a signed number plus 128), the right side signed, as VNNI wants it.
struct I8 {
  using Acc = intv;
  static constexpr int kPerWord = 4;
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_MATMUL_INT8)
  static constexpr int kLeftWords = 1;
  using LeftNumber = uint8_t;
  using Left = wordv;
  using Right = wordv;
  static Left left(const uint32_t* x) { return splat(*x); }
  static Right right(wordv w) { return w; }
  static Acc dot(Acc acc, Left a, Right b) {
#if defined(__AVX512VNNI__)
    return (intv)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
    return (intv)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)a, (__m256i)b);
#else
    return (intv)vusdotq_s32((int32x4_t)acc, (uint8x16_t)a, (int8x16_t)b);
#endif
  }
  static void put_left(LeftNumber* to, intv v) { store(to, __builtin_convertvector(v, bytev)); }
#else
  // The even and the odd bytes of each word, as 16-bit integers.
  struct Halves {
    shortv even, odd;
  };
  static constexpr int kLeftWords = 2;
  using LeftNumber = uint16_t;
  using Left = Halves;
  using Right = Halves;
  static Left left(const uint32_t* x) { return {(shortv)splat(x[0]), (shortv)splat(x[1])}; }
  static Right right(wordv w) { return {(shortv)((ushortv)w << 8) >> 8, (shortv)w >> 8}; }
  static Acc dot(Acc acc, const Left& a, const Right& b) {
    return acc + add_up_pairs(a.even, b.even) + add_up_pairs(a.odd, b.odd);
  }
  static void put_left(LeftNumber* to, intv v) {
    for (int i = 0; i < kLanes; i++) to[(i & ~3) | (i & 1) << 1 | (i >> 1 & 1)] = LeftNumber(v[i]);
  }
#endif
};

// Calls f(0) … f(N - 1), each with its number as a constant: arrays indexed so live in registers.
template <int N, class F>
inline __attribute__((always_inline)) void unrolled(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

// The largest number of `columns` that divides them and whose sums fit the registers.
constexpr int columns_at_once(int rows, int columns) {
  int most = kAccumulators / rows < columns ? kAccumulators / rows : columns;
  while (columns % most) most--;
  return most;
}

// acc[r][c] += row r of the left side times column group c of the right side, over `n` words.
//
// `x` has rows `x_stride` words apart; `w[c]` points to a vector of words, the next ones of the same
// columns `w_stride` words further on. `ahead`, when not null, is memory as large as the right side
// that is fetched meanwhile, if it is contiguous.
template <class T, int R, int C, bool kFetch = false>
inline __attribute__((always_inline)) void dot_tile(typename T::Acc (&acc)[R][C], const uint32_t* x,
                                                    size_t x_stride, const uint32_t* const (&w)[C],
                                                    size_t w_stride, int n,
                                                    const char* ahead = nullptr) {
  constexpr int kColumns = columns_at_once(R, C);
  constexpr int kLine = 64, kBytes = kColumns * kLanes * 4;  // of one word of each column
  for (int part = 0; part < C; part += kColumns) {
    typename T::Acc sum[R][kColumns];
    unrolled<R>([&](auto r) __attribute__((always_inline)) {
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) { sum[r][c] = acc[r][part + c]; });
    });
    const uint32_t* from[kColumns];
    unrolled<kColumns>([&](auto c) __attribute__((always_inline)) { from[c] = w[part + c]; });
    for (int k = 0; k < n; k++) {
      if constexpr (kFetch)
        for (int byte = 0; byte < kBytes; byte += kLine)
          __builtin_prefetch(ahead + (size_t(part / kColumns) * n + k) * kBytes + byte, 0, 2);
      typename T::Right right[kColumns];
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) {
        right[c] = T::right(load<wordv>(from[c] + k * w_stride));
      });
      unrolled<R>([&](auto r) __attribute__((always_inline)) {
        const typename T::Left left = T::left(x + r * x_stride + size_t(k) * T::kLeftWords);
        unrolled<kColumns>([&](auto c) __attribute__((always_inline)) {
          sum[r][c] = T::dot(sum[r][c], left, right[c]);
        });
      });
    }
    unrolled<R>([&](auto r) __attribute__((always_inline)) {
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) { acc[r][part + c] = sum[r][c]; });
    });
  }
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
