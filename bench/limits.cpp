// What the machine can do at best: multiply-adds in registers, and streams to and from memory.
// Compiled on the machine that is measured, with all its instructions.
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr std::size_t kBytes = 64, kAccumulators = 24;
#elif defined(__AVX__)
constexpr std::size_t kBytes = 32, kAccumulators = 12;
#else
constexpr std::size_t kBytes = 16, kAccumulators = 12;
#endif
typedef float Vec __attribute__((vector_size(kBytes)));
constexpr std::size_t kLanes = kBytes / sizeof(float);

// Seconds until all threads have done f(thread).
double timed(int threads, const std::function<void(int)>& f) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t) team.emplace_back(f, t);
    f(0);
    for (auto& member : team) member.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

float multiply_adds(std::size_t rounds) {
    Vec acc[kAccumulators];
#pragma GCC unroll 24
    for (std::size_t j = 0; j < kAccumulators; ++j) acc[j] = Vec{} + static_cast<float>(j);
    const Vec x = Vec{} + 0.999999f, y = Vec{} + 1e-7f;
    for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 24
        for (std::size_t j = 0; j < kAccumulators; ++j) acc[j] = acc[j] * x + y;
    }
    float total = 0;
#pragma GCC unroll 24
    for (std::size_t j = 0; j < kAccumulators; ++j) total += acc[j][0];
    return total;
}

// Reads n floats, and where `writes` is set the pattern of momentum: v = m v + w, w -= r v on two arrays; at several
// places in turns, which keeps more of memory busy.
template <std::size_t kPlaces>
void stream(float* w, float* v, std::size_t n, bool writes) {
    Vec sums[kPlaces] = {};
    const std::size_t part = n / kPlaces;
    for (std::size_t i = 0; i + kLanes <= part; i += kLanes) {
        for (std::size_t j = 0; j < kPlaces; ++j) {
            Vec* pw = reinterpret_cast<Vec*>(w + i + j * part);
            if (writes) {
                Vec* pv = reinterpret_cast<Vec*>(v + i + j * part);
                *pv = *pv * 0.9f + *pw;
                *pw -= *pv * 1e-6f;
            } else {
                sums[j] += *pw;
            }
        }
    }
    for (const auto& s : sums) asm volatile("" : : "x"(s));
}

// Memory in huge pages where the system has them.
float* allocate(std::size_t n) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    void* p = std::aligned_alloc(kHugePage, n * sizeof(float));
#if defined(__linux__)
    if (p) madvise(p, n * sizeof(float), MADV_HUGEPAGE);
#endif
    return static_cast<float*>(p);
}

}  // namespace

extern "C" {

// FLOP/s of `threads` threads, a multiply-add counting two.
double limits_flops(int threads) {
    const std::size_t rounds = 20000000;
    volatile float sink = 0;
    const double seconds = timed(threads, [&](int) { sink = multiply_adds(rounds); });
    return 2.0 * static_cast<double>(kAccumulators * kLanes * rounds) * threads / seconds;
}

// Bytes a second: read alone, or read and written back.
double limits_bandwidth(int threads, int writes, int places) {
    const std::size_t n = std::size_t{1} << 26;  // floats in each array: 256 MB
    std::unique_ptr<float[], void (*)(void*)> w(allocate(n), std::free);
    std::unique_ptr<float[], void (*)(void*)> v(allocate(n), std::free);
    if (!w || !v) return 0;
    const std::size_t part = n / static_cast<std::size_t>(threads);
    const auto all = [&](const std::function<void(float*, float*)>& f) {
        return timed(threads, [&](int t) {
            const std::size_t first = part * static_cast<std::size_t>(t);
            f(w.get() + first, v.get() + first);
        });
    };
    all([&](float* a, float* b) {
        for (std::size_t i = 0; i < part; ++i) a[i] = b[i] = 1.0f;
    });
    const auto run = places == 1 ? stream<1> : places == 4 ? stream<4> : stream<8>;
    const double seconds = all([&](float* a, float* b) { run(a, b, part, writes != 0); });
    return static_cast<double>(n) * 4 * (writes ? 4 : 1) / seconds;
}
}
