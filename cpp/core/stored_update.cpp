#include "stored_update.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "top_k.hpp"

namespace steepest {

template <class T>
StoredUpdate<T>::StoredUpdate(const Network<T>& network, const Optimizer& optimizer, const SlotMatrices& slots1,
                              const SlotMatrices& slots2, const std::vector<double>& rates)
    : network_(network), optimizer_(optimizer), slots1_(slots1), slots2_(slots2), rates_(rates) {}

template <class T>
void StoredUpdate<T>::prepare(std::size_t threads) {
    const std::size_t n = network_.parameters().size(), panel = network_.kernels().panel;
    if (members_ == 0) {
        std::size_t all = 0, numbers = 0;
        for (std::size_t i = 0; i < n; ++i) {
            all += panels(i);
            numbers += panels(i) * network_.parameters()[i]->rows * panel;
        }
        squares_.resize(all);
        groups_.reserve(n);
        group_of_.resize(n);
        for (const auto& p : network_.parameters()) layer_of_.push_back(p->layer());
        if (optimizer_.fraction < 1) candidates_ = Buffer<T>(numbers);
    }
    if (threads <= members_) return;
    members_ = threads;
    if (optimizer_.fraction == 1) return;
    const std::size_t groups = optimizer_.across ? 1 : n;
    counts_.resize(members_ * groups * kBuckets * kCountCopies);
    offsets_.resize(members_ * groups);
}

template <class T>
void StoredUpdate<T>::lay_out(std::size_t first, std::size_t last) {
    first_ = first, last_ = last;
    groups_.clear();
    std::size_t start = 0;
    for (std::size_t i = first; i < last; ++i) {
        if (!moves(i)) continue;
        const Parameter<T>& p = *network_.parameters()[i];
        if (groups_.empty() || (!optimizer_.across && layer_of_[groups_.back().first] != layer_of_[i])) {
            groups_.push_back({i, i, 0, 0, 0, 0, 0, start, T(0), 0, 0, 0});
        }
        groups_.back().last = i + 1;
        groups_.back().size += p.rows * p.columns;
        group_of_[i] = groups_.size() - 1;
        start += panels(i) * p.rows * network_.kernels().panel;
    }
    for (Group& group : groups_) {
        group.quota = static_cast<std::size_t>(std::ceil(optimizer_.fraction * static_cast<double>(group.size)));
    }
}

template <class T>
void StoredUpdate<T>::clip(Share share) {
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t number) {
        const Parameter<T>& p = *network_.parameters()[i];
        const Matrix<T> g = p.gradient.matrix();
        squares_[number] = network_.kernels().sum_squares(p.rows * network_.kernels().panel, g.data + panel * g.stride);
    });
    share.sync();
    if (share.leads()) {
        std::size_t count = 0;
        for (std::size_t i = first_; i < last_; ++i) count += moves(i) ? panels(i) : 0;
        double total = 0;
        for (std::size_t i = 0; i < count; ++i) total += squares_[i];
        const auto scale = static_cast<double>(updates_.decaying.scale), norm = scale * std::sqrt(total);
        if (norm > optimizer_.clip_norm) {
            updates_.decaying.scale = updates_.other.scale = static_cast<T>(scale * optimizer_.clip_norm / norm);
        }
    }
    share.sync();
}

template <class T>
std::uint32_t* StoredUpdate<T>::counts(std::size_t member, std::size_t group) {
    return counts_.data() + (member * groups_.size() + group) * kBuckets * kCountCopies;
}

template <class T>
void StoredUpdate<T>::select(Share share) {
    const Kernels<T>& kernels = network_.kernels();
    const std::size_t n_groups = groups_.size();
    const auto gradient = [&](std::size_t i, std::size_t panel) {
        const Matrix<T> g = network_.parameters()[i]->gradient.matrix();
        return g.data + panel * g.stride;
    };
    const auto size = [&](std::size_t i) { return network_.parameters()[i]->rows * kernels.panel; };

    std::memset(counts(share.index, 0), 0, n_groups * kBuckets * kCountCopies * sizeof(std::uint32_t));
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        kernels.count_buckets(size(i), gradient(i, panel), counts(share.index, group_of_[i]));
    });
    share.sync();
    for (std::size_t g = share.index; g < n_groups; g += share.count) {
        std::uint32_t total[kBuckets] = {};
        for (std::size_t m = 0; m < share.count; ++m) {
            for (std::size_t b = 0; b < kBuckets * kCountCopies; ++b) total[b / kCountCopies] += counts(m, g)[b];
        }
        const BucketPlace found = find_bucket(total, groups_[g].quota);
        groups_[g].bucket = found.bucket, groups_[g].place = found.place, groups_[g].candidates = total[found.bucket];
        std::size_t next = groups_[g].start;
        for (std::size_t m = 0; m < share.count; ++m) {
            offsets_[m * n_groups + g] = next;
            for (std::size_t c = 0; c < kCountCopies; ++c) next += counts(m, g)[found.bucket * kCountCopies + c];
        }
    }
    share.sync();
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        std::size_t& next = offsets_[share.index * n_groups + group_of_[i]];
        next += kernels.collect_bucket(size(i), gradient(i, panel), groups_[group_of_[i]].bucket, candidates_.data() + next);
    });
    share.sync();
    for (std::size_t g = share.index; g < n_groups; g += share.count) {
        Group& group = groups_[g];
        const KthLargest<T> least = find_kth_largest(candidates_.data() + group.start, group.candidates, group.place);
        group.least = least.value;
        group.tie_parameter = group.last;  // all of them, unless more are equal than may move
        if (least.above + least.equal > group.place) find_ties(group, group.place - least.above);
    }
    share.sync();
}

// Ties go to the lower index: parameter by parameter, row by row.
template <class T>
void StoredUpdate<T>::find_ties(Group& group, std::size_t quota) const {
    const std::size_t width = network_.kernels().panel;
    for (std::size_t i = group.first; i < group.last; ++i) {
        if (!moves(i)) continue;
        const Parameter<T>& p = *network_.parameters()[i];
        const Matrix<T> g = p.gradient.matrix();
        for (std::size_t row = 0; row < p.rows; ++row) {
            for (std::size_t column = 0; column < p.columns; ++column) {
                const T value = g.data[column / width * g.stride + row * width + column % width];
                if (key_of(value) != key_of(group.least) || quota-- > 0) continue;
                group.tie_parameter = i, group.tie_row = row, group.tie_column = column;
                return;
            }
        }
    }
}

// How many elements of a panel, from its first, move if they are a tie.
template <class T>
std::size_t StoredUpdate<T>::ties_in(const Group& group, std::size_t parameter, std::size_t panel) const {
    const std::size_t width = network_.kernels().panel;
    if (parameter < group.tie_parameter) return network_.parameters()[parameter]->rows * width;
    if (parameter > group.tie_parameter) return 0;
    const std::size_t before = panel * width;  // columns
    return group.tie_row * width + (group.tie_column > before ? std::min(group.tie_column - before, width) : 0);
}

template <class T>
void StoredUpdate<T>::apply(std::size_t first, std::size_t last, const Updates<T>& updates, Share share) {
    if (share.count > members_) {  // threads were added since `prepare`
        if (share.leads()) apply(first, last, updates, {0, 1, nullptr});
        share.sync();
        return;
    }
    if (share.leads()) {
        updates_ = updates;
        lay_out(first, last);
    }
    share.sync();
    if (groups_.empty()) return;
    if (optimizer_.clip_norm > 0) clip(share);
    const bool selects = optimizer_.fraction < 1;
    if (selects) select(share);
    const Kernels<T>& kernels = network_.kernels();
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        const Parameter<T>& p = *network_.parameters()[i];
        Updates<T> scaled;
        const Updates<T>* own = updates_for(multiplier(i), &updates_, scaled);
        const Update<T>* update = p.decays ? &own->decaying : &own->other;
        const std::size_t at = panel * p.value.matrix().stride, n = p.rows * kernels.panel;
        const auto slot = [&](const PanelMatrix<T>& m) { return m.buffer().data() ? m.buffer().data() + at : nullptr; };
        T *const w = p.value.matrix().data + at, *const g = p.gradient.matrix().data + at;
        if (selects) {
            const Group& group = groups_[group_of_[i]];
            const SelectedArgs<T> args{n, ties_in(group, i, panel), w, g, slot(slots1_[i]), update, group.least};
            kernels.update_selected(&args);
        } else {
            kernels.update(n, w, g, {slot(slots1_[i]), slot(slots2_[i])}, update);
        }
    });
    share.sync();
}

template class StoredUpdate<float>;
template class StoredUpdate<double>;

}  // namespace steepest
