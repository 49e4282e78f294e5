// The vector type, its lanes, loads and stores, and the functions of mathematics that the kernels need.
// Everything is written in the compiler's vector types, so that one text serves every width.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(STEEPEST_VECTOR_BYTES)
#if defined(__AVX512F__)
#define STEEPEST_VECTOR_BYTES 64
#elif defined(__AVX__)
#define STEEPEST_VECTOR_BYTES 32
#else
#define STEEPEST_VECTOR_BYTES 16
#endif
#endif

namespace steepest {
namespace {

constexpr std::size_t kVectorBytes = STEEPEST_VECTOR_BYTES;

template <class T>
struct VecTypes;

template <>
struct VecTypes<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    typedef std::int32_t I __attribute__((vector_size(kVectorBytes)));
    typedef std::int32_t Bits;
    static constexpr Bits kMagnitude = INT32_MAX;  // all bits but the sign's
    static constexpr int kMantissa = 23;
    static constexpr Bits kBias = 127;
    static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // their sum is ln 2
    static constexpr float kExpLow = -104.0f, kExpHigh = 89.0f;                 // beyond: 0 and infinity
};

template <>
struct VecTypes<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    typedef std::int64_t I __attribute__((vector_size(kVectorBytes)));
    typedef std::int64_t Bits;
    static constexpr Bits kMagnitude = INT64_MAX;
    static constexpr int kMantissa = 52;
    static constexpr Bits kBias = 1023;
    static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double kLn2High = 6.93145751953125e-1, kLn2Low = 1.42860682030941723212e-6;
    static constexpr double kExpLow = -746.0, kExpHigh = 710.0;
};

template <class T>
using Vec = typename VecTypes<T>::V;
template <class T>
using IntVec = typename VecTypes<T>::I;

template <class T>
constexpr std::size_t kLanes = kVectorBytes / sizeof(T);

template <class T>
inline Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// x - 0 is x for every x, so the compiler leaves nothing but the broadcast.
template <class T>
inline Vec<T> splat(T x) {
    return x - Vec<T>{};
}

template <class T>
inline Vec<T> select(IntVec<T> mask, Vec<T> yes, Vec<T> no) {
    return mask ? yes : no;
}

template <class T>
inline Vec<T> bits_to_float(IntVec<T> i) {
    return reinterpret_cast<Vec<T>>(i);
}

template <class T>
inline IntVec<T> float_to_bits(Vec<T> v) {
    return reinterpret_cast<IntVec<T>>(v);
}

template <class T>
inline Vec<T> absolute(Vec<T> v) {
    return bits_to_float<T>(float_to_bits<T>(v) & VecTypes<T>::kMagnitude);
}

// `size`, which is not negative, with the sign of x.
template <class T>
inline Vec<T> with_sign(Vec<T> size, Vec<T> x) {
    return bits_to_float<T>(float_to_bits<T>(size) | (float_to_bits<T>(x) & ~VecTypes<T>::kMagnitude));
}

template <class T>
inline Vec<T> root(Vec<T> v) {
    for (std::size_t l = 0; l < kLanes<T>; ++l)
        v[l] = sizeof(T) == 4 ? __builtin_sqrtf(float(v[l])) : T(__builtin_sqrt(double(v[l])));
    return v;
}

// All ones in the lanes below n.
template <class T>
inline IntVec<T> first_lanes(std::size_t n) {
    IntVec<T> index{};
    for (std::size_t l = 0; l < kLanes<T>; ++l) index[l] = static_cast<typename VecTypes<T>::Bits>(l);
    return index < static_cast<typename VecTypes<T>::Bits>(n);
}

// The numbers 0 to N - 1, for shuffles.
template <std::size_t... I>
struct Indices {};
template <std::size_t N, std::size_t... I>
struct FirstIndices : FirstIndices<N - 1, N - 1, I...> {};
template <std::size_t... I>
struct FirstIndices<0, I...> {
    using Type = Indices<I...>;
};
template <class T>
using LaneIndices = typename FirstIndices<kLanes<T>>::Type;

// Numbers `apart` elements from one to the next.
template <class T, std::size_t... I>
inline Vec<T> load_apart(const T* p, std::size_t apart, Indices<I...>) {
    return Vec<T>{p[I * apart]...};
}

// Lane i <- lane i xor K.
template <std::size_t K, class T, std::size_t... I>
inline Vec<T> swap_lanes(Vec<T> v, Indices<I...>) {
    return __builtin_shufflevector(v, v, int(I ^ K)...);
}

// Sum of the lanes, in pairs.
template <class T, std::size_t K = kLanes<T> / 2>
inline T sum(Vec<T> v) {
    v += swap_lanes<K, T>(v, LaneIndices<T>{});
    if constexpr (K > 1) return sum<T, K / 2>(v);
    return v[0];
}

template <class T, std::size_t K = kLanes<T> / 2>
inline T largest(Vec<T> v) {
    const Vec<T> other = swap_lanes<K, T>(v, LaneIndices<T>{});
    v = select<T>(v > other, v, other);
    if constexpr (K > 1) return largest<T, K / 2>(v);
    return v[0];
}

// a and b in turns: their first halves, and their second halves.
template <class T, std::size_t... I>
inline Vec<T> interleave_low(Vec<T> a, Vec<T> b, Indices<I...>) {
    return __builtin_shufflevector(a, b, int(I % 2 * kLanes<T> + I / 2)...);
}
template <class T, std::size_t... I>
inline Vec<T> interleave_high(Vec<T> a, Vec<T> b, Indices<I...>) {
    return __builtin_shufflevector(a, b, int(I % 2 * kLanes<T> + I / 2 + kLanes<T> / 2)...);
}

// A square of numbers, transposed by perfect shuffles: each moves one bit of the row's index into the column's.
template <class T>
inline void transpose(Vec<T> (&rows)[kLanes<T>]) {
    constexpr std::size_t L = kLanes<T>;
    Vec<T> other[L];
#pragma GCC unroll 4
    for (std::size_t step = 1; step < L; step *= 2) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < L / 2; ++i) {
            other[2 * i] = interleave_low<T>(rows[i], rows[i + L / 2], LaneIndices<T>{});
            other[2 * i + 1] = interleave_high<T>(rows[i], rows[i + L / 2], LaneIndices<T>{});
        }
#pragma GCC unroll 16
        for (std::size_t i = 0; i < L; ++i) rows[i] = other[i];
    }
}

// c[0] + x (c[1] + x (c[2] + ...))
template <class T, std::size_t N>
inline Vec<T> horner(Vec<T> x, const T (&c)[N]) {
    Vec<T> y = splat<T>(c[N - 1]);
    for (std::size_t i = N - 1; i-- > 0;) y = y * x + c[i];
    return y;
}

template <class T>
struct Series;

// atanh: the series of atanh(s) / s in s^2, enough terms for s <= 1/3. The others are Chebyshev fits, written as powers:
// exp: (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.
// tanh: (tanh(x) / x - 1) / x^2 in x^2 for tanh(x) <= 1/2.
// erfcx: e^(x^2) erfc(x) in t = (x - 3.75) / (x + 3.75) (Schonfelder, 1978).
// sin: the series of (sin(x) / x - 1) / x^2 in x^2, and cos: that of (cos(x) - 1) / x^2, enough terms for |x| <= pi / 4.
template <>
struct Series<float> {
    static constexpr float kExp[] = {0.5f, 0.16666576666119928305f, 0.041666554212984150314f, 0.0083632328836826182041f,
                                     0.0013926250831497611718f};
    static constexpr float kAtanh[] = {1.0f, 1.0f / 3, 1.0f / 5, 1.0f / 7, 1.0f / 9, 1.0f / 11, 1.0f / 13, 1.0f / 15};
    static constexpr float kTanh[] = {-0.33333332023675043927f, 0.1333311578288499832f, -0.053909833554552694077f,
                                      0.021311875549274208999f, -0.0066149122184729058074f};
    static constexpr float kErfcx[] = {0.14558971879211393258f,    -0.27342191771728247654f,    0.22600824475040149755f,
                                       -0.16357228518902119856f,   0.10260225346137466505f,     -0.054799165173516423793f,
                                       0.02415189620924506516f,    -0.0082316934514621191853f,  0.001786630134918221275f,
                                       -6.4127908592801802672e-6f, -0.00013874589109132496071f, 0.000031475325646278229873f};
    static constexpr float kSin[] = {-1.0f / 6.0f, 1.0f / 120.0f, -1.0f / 5040.0f, 1.0f / 362880.0f};
    static constexpr float kCos[] = {-1.0f / 2.0f, 1.0f / 24.0f, -1.0f / 720.0f, 1.0f / 40320.0f};
};

template <>
struct Series<double> {
    static constexpr double kExp[] = {0.5,
                                      0.1666666666666667103,
                                      0.041666666666666669783,
                                      0.0083333333333260831202,
                                      0.0013888888888883711167,
                                      0.00019841269875002278793,
                                      0.0000248015873256774619,
                                      2.7557255170000887438e-6,
                                      2.7557273478718580474e-7,
                                      2.5105312729622101787e-8,
                                      2.09147553258932022e-9};
    static constexpr double kAtanh[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13, 1.0 / 15,
                                        1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23, 1.0 / 25, 1.0 / 27, 1.0 / 29, 1.0 / 31};
    static constexpr double kTanh[] = {-0.33333333333333332581,    0.13333333333332729306,     -0.053968253967451191724,
                                       0.02186948849445237647,     -0.0088632344159541678841,  0.0035921106181904481345,
                                       -0.0014556637472391654524,  0.00058894551539517002581,  -0.00023466287885907127083,
                                       0.000085159321803027293628, -0.000020634899771792013357};
    static constexpr double kErfcx[] = {
        0.14558972127503853929,    -0.27342193149542645857,     0.22600806691662142399,     -0.16357189552392636586,
        0.10260431203219861185,    -0.054802326694903613256,    0.024143223972437086606,    -0.008220621155199565916,
        0.0018029624168129709266,  -0.000025535322646415706156, -0.00015246266512884466653, 0.000047898741127969708892,
        3.5837167308804674936e-6,  -6.1833079310756642776e-6,   7.4853735848608742916e-7,   6.5919156964145189252e-7,
        -1.833736144928786673e-7,  -7.223831512889502862e-8,    3.143341746897095811e-8,    8.7945118695433559099e-9,
        -4.8405092750072754708e-9, -1.0766475700209572379e-9,   6.2779693306037303797e-10,  8.778671407822570863e-11,
        -4.9159788895723309184e-11};
    static constexpr double kSin[] = {-1.0 / 6.0,        1.0 / 120.0,        -1.0 / 5040.0,          1.0 / 362880.0,
                                      -1.0 / 39916800.0, 1.0 / 6227020800.0, -1.0 / 1307674368000.0, 1.0 / 355687428096000.0};
    static constexpr double kCos[] = {-1.0 / 2.0,       1.0 / 24.0,        -1.0 / 720.0,         1.0 / 40320.0,
                                      -1.0 / 3628800.0, 1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
};

// x = n ln 2 + r with |r| <= ln(2) / 2, and p = e^r - 1; then e^x = 2^n (1 + p).
template <class T>
struct Reduced {
    IntVec<T> n;
    Vec<T> p;
};

template <class T>
inline Reduced<T> reduce_exp(Vec<T> x) {
    using C = VecTypes<T>;
    const Vec<T> shifted = x * T(1.44269504088896340736) + C::kRound;
    const Vec<T> n = shifted - C::kRound;
    const Vec<T> r = x - n * C::kLn2High - n * C::kLn2Low;
    return {float_to_bits<T>(shifted) - float_to_bits<T>(splat<T>(C::kRound)), r + r * r * horner<T>(r, Series<T>::kExp)};
}

// 2^n for a normal result.
template <class T>
inline Vec<T> power_of_two(IntVec<T> n) {
    return bits_to_float<T>((n + VecTypes<T>::kBias) << VecTypes<T>::kMantissa);
}

// Comparisons are false for NaN, so that a NaN passes through every clamp below.
template <class T>
inline Vec<T> exp(Vec<T> x) {
    using C = VecTypes<T>;
    x = select<T>(x < C::kExpLow, splat<T>(C::kExpLow), select<T>(x > C::kExpHigh, splat<T>(C::kExpHigh), x));
    const Reduced<T> reduced = reduce_exp<T>(x);
    const IntVec<T> half = reduced.n >> 1;  // two factors, for 2^n itself may be subnormal or too large
    return (reduced.p + T(1)) * power_of_two<T>(half) * power_of_two<T>(reduced.n - half);
}

// e^x - 1 for x <= 0.
template <class T>
inline Vec<T> expm1_negative(Vec<T> x) {
    const T low = sizeof(T) == 4 ? T(-30) : T(-60);  // e^low is lost beside 1
    x = select<T>(x < low, splat<T>(low), x);
    const Reduced<T> reduced = reduce_exp<T>(x);
    const Vec<T> scale = power_of_two<T>(reduced.n);
    return scale * reduced.p + (scale - T(1));
}

// log(1 + u) for 0 <= u <= 1.
template <class T>
inline Vec<T> log1p_unit(Vec<T> u) {
    const Vec<T> s = u / (u + T(2));
    return T(2) * s * horner<T>(s * s, Series<T>::kAtanh);
}

// This and tanh: within 2 units in the last place (exp: 1.5) of float, from the smallest normal result on.
template <class T>
inline Vec<T> sigmoid_by(Vec<T> e, Vec<T> x) {  // e = exp(-|x|)
    const Vec<T> sum = e + T(1), lost = e - (sum - T(1));
    const Vec<T> share = select<T>(x < T(0), e, splat<T>(T(1))) / sum;
    // what the sum lost, over the sum: 1 / sum is this share, or for negative x 1 less this share
    return share - share * (lost * select<T>(x < T(0), T(1) - share, share));
}

template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
    return sigmoid_by<T>(exp<T>(-absolute<T>(x)), x);
}

// Up to 1/2 by a polynomial; above it, with E = e^(-2 |x|), 1 - 2 E / (1 + E), to which E's error adds little.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
    const Vec<T> size = absolute<T>(x), square = x * x;
    const Vec<T> low = size + size * square * horner<T>(square, Series<T>::kTanh);
    const Reduced<T> reduced = reduce_exp<T>(select<T>(size > T(30), splat<T>(T(30)), size) * T(-2));
    const Vec<T> twice = power_of_two<T>(reduced.n + 1), e = twice * reduced.p + twice;  // 2 E
    const Vec<T> high = T(1) - e / (T(0.5) * e + T(1));
    return with_sign<T>(select<T>(size < T(0.54930614433405484570), low, high), x);
}

// log(1 + e^-|x|): what softplus(x) = log(1 + e^x) has beyond max(x, 0).
template <class T>
inline Vec<T> softplus_tail(Vec<T> x) {
    return log1p_unit<T>(exp<T>(-absolute<T>(x)));
}

template <class T>
inline Vec<T> softplus(Vec<T> x) {
    return select<T>(x < T(0), Vec<T>{}, x) + softplus_tail<T>(x);
}

// cos(2 pi u) and sin(2 pi u).
template <class T>
struct Turn {
    Vec<T> cos, sin;
};

// From kRound / 12 on adding kRound to 4 u does not round it: such a u, whose fraction has few bits, counts as whole turns.
template <class T>
inline Turn<T> turn(Vec<T> u) {
    using C = VecTypes<T>;
    constexpr int kSign = sizeof(T) * 8 - 2;                          // from bit 1 to the sign's
    u = select<T>(absolute<T>(u) >= C::kRound / T(12), u * T(0), u);  // infinity becomes NaN
    const Vec<T> shifted = u * T(4) + C::kRound;
    const IntVec<T> quarter = float_to_bits<T>(shifted) - float_to_bits<T>(splat<T>(C::kRound));
    const Vec<T> x = (u - (shifted - C::kRound) * T(0.25)) * T(6.28318530717958647692), square = x * x;
    const Vec<T> s = x + x * square * horner<T>(square, Series<T>::kSin);
    const Vec<T> c = T(1) + square * horner<T>(square, Series<T>::kCos);
    const IntVec<T> odd = (quarter & 1) != 0;
    const IntVec<T> cos_sign = ((quarter + 1) & 2) << kSign, sin_sign = (quarter & 2) << kSign;
    return {bits_to_float<T>(float_to_bits<T>(select<T>(odd, s, c)) ^ cos_sign),
            bits_to_float<T>(float_to_bits<T>(select<T>(odd, c, s)) ^ sin_sign)};
}

// The normal distribution: its density at x, and the probability of a value below x.
template <class T>
struct Normal {
    Vec<T> density, below;
};

template <class T>
inline Normal<T> normal(Vec<T> x) {
    const Vec<T> density = exp<T>(x * x * T(-0.5));
    const Vec<T> a = absolute<T>(x) * T(0.70710678118654752440);
    const Vec<T> t = (a - T(3.75)) / (a + T(3.75));
    const Vec<T> tail = T(0.5) * density * horner<T>(t, Series<T>::kErfcx);
    return {density * T(0.39894228040143267794), select<T>(x < T(0), tail, T(1) - tail)};
}

}  // namespace
}  // namespace steepest
