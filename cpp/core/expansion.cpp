#include "expansion.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <utility>

#include "parallel.hpp"

namespace steepest {
namespace {

std::size_t bins_of(const Part& part) { return part.edges.empty() ? 0 : part.edges.size() - 1; }

// All bins below z are 1, all above it 0. out: (bins)
void fill_bins(double z, const std::vector<double>& edges, float* out) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), z);
    const std::size_t bins = edges.size() - 1;
    const std::size_t at = above == edges.begin() ? 0 : static_cast<std::size_t>(above - edges.begin()) - 1;
    std::fill(out, out + std::min(at, bins), 1.0f);
    if (at >= bins) return;
    out[at] = static_cast<float>(std::max((z - edges[at]) / (edges[at + 1] - edges[at]), 0.0));
    std::fill(out + at + 1, out + bins, 0.0f);
}

}  // namespace

Expansion::Expansion(std::vector<Part> parts) : parts_(std::move(parts)) {
    for (const Part& part : parts_) {
        const auto& edges = part.edges;
        if (std::adjacent_find(edges.begin(), edges.end(), std::not_fn(std::less<>())) != edges.end()) {
            throw std::invalid_argument("edges do not increase");
        }
        n_numbers_ += part.number;
        n_codes_ += part.slots > 0;
        n_ready_ += part.ready;
        n_features_ += part.number + bins_of(part) + part.indicator + part.slots + part.ready;
    }
}

void Expansion::expand(const double* numbers, const std::int32_t* codes, const float* ready, std::size_t rows,
                       float* out) const {
    auto member = [&](Share share) {
        const Range range = share.split(rows);
        const double* z = numbers + range.begin * n_numbers_;
        const std::int32_t* code = codes + range.begin * n_codes_;
        const float* from = ready + range.begin * n_ready_;
        float* to = out + range.begin * n_features_;
        for (std::size_t row = range.begin; row < range.end; ++row) {
            for (const Part& part : parts_) {
                const bool missing = part.number && std::isnan(*z);
                if (part.number) {
                    const double value = missing ? 0 : *z;
                    ++z;
                    *to++ = static_cast<float>(value);
                    if (!part.edges.empty()) fill_bins(value, part.edges, to);
                    to += bins_of(part);
                }
                if (part.indicator) *to++ = missing ? 1.0f : 0.0f;
                if (part.slots > 0) {
                    std::fill(to, to + part.slots, 0.0f);
                    if (*code >= 0 && static_cast<std::size_t>(*code) < part.slots) to[*code] = 1;
                    ++code;
                    to += part.slots;
                }
                to = std::copy(from, from + part.ready, to);
                from += part.ready;
            }
        }
    };
    run_team(threads_worth(kExpandWork * static_cast<double>(rows * n_features_)), member);
}

}  // namespace steepest
