#include "stored_update.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace steepest {

template <class T>
StoredUpdate<T>::StoredUpdate(const Network<T>& network, const Optimizer& optimizer, const SlotMatrices& slots1,
                              const SlotMatrices& slots2, const std::vector<double>& rates)
    : network_(network), optimizer_(optimizer), slots1_(slots1), slots2_(slots2), rates_(rates) {}

template <class T>
void StoredUpdate<T>::prepare(std::size_t threads) {
    const std::size_t n = network_.parameters().size();
    if (members_ == 0) {  // the first call
        std::size_t all = 0, numbers = 0;
        for (std::size_t i = 0; i < n; ++i) {
            all += panels(i);
            numbers += panels(i) * panel_size(i);
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

// By one thread: the groups of this call, and the memory of each for candidates, enough for all of its numbers.
template <class T>
void StoredUpdate<T>::lay_out(std::size_t first, std::size_t last) {
    first_ = first, last_ = last;
    groups_.clear();
    std::size_t start = 0;
    for (std::size_t i = first; i < last; ++i) {
        if (!moves(i)) continue;
        const Parameter<T>& p = *network_.parameters()[i];
        if (groups_.empty() || (!optimizer_.across && layer_of_[groups_.back().first] != layer_of_[i])) {
            Group group;
            group.first = i, group.start = start;
            groups_.push_back(group);
        }
        groups_.back().last = i + 1;
        groups_.back().size += p.rows * p.columns;
        group_of_[i] = groups_.size() - 1;
        start += panels(i) * panel_size(i);
    }
    for (Group& group : groups_) {
        group.quota = static_cast<std::size_t>(std::ceil(optimizer_.fraction * static_cast<double>(group.size)));
    }
}

// Makes the scale of the updates such that the norm of all gradients together is at most clip_norm. The sum is of one
// double a panel, added by one thread in order: the same at any number of threads.
template <class T>
void StoredUpdate<T>::clip(Share share) {
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t number) {
        squares_[number] = network_.kernels().sum_squares(panel_size(i), panel_gradient(i, panel));
    });
    share.sync();  // the squares of all panels stand
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
    share.sync();  // the scale stands
}

template <class T>
std::uint32_t* StoredUpdate<T>::counts(std::size_t member, std::size_t group) {
    return counts_.data() + (member * groups_.size() + group) * kBuckets * kCountCopies;
}

// Each member counts, in memory of its own, the gradients of its panels by bucket.
template <class T>
void StoredUpdate<T>::count_buckets(Share share) {
    std::memset(counts(share.index, 0), 0, groups_.size() * kBuckets * kCountCopies * sizeof(std::uint32_t));
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        network_.kernels().count_buckets(panel_size(i), panel_gradient(i, panel), counts(share.index, group_of_[i]));
    });
    share.sync();  // the counts of all members stand
}

// Members share out the groups. Of each: the bucket where its quota-th largest is, and a place in candidates_ for every
// member, by what it has counted in that bucket.
template <class T>
void StoredUpdate<T>::find_buckets(Share share) {
    for (std::size_t g = share.index; g < groups_.size(); g += share.count) {
        Group& group = groups_[g];
        std::uint32_t total[kBuckets] = {};
        for (std::size_t m = 0; m < share.count; ++m) {
            for (std::size_t b = 0; b < kBuckets * kCountCopies; ++b) total[b / kCountCopies] += counts(m, g)[b];
        }
        group.kth = find_bucket(total, group.quota);
        group.candidates = total[group.kth.bucket];
        std::size_t next = group.start;
        for (std::size_t m = 0; m < share.count; ++m) {
            offset(m, g) = next;
            for (std::size_t c = 0; c < kCountCopies; ++c) next += counts(m, g)[group.kth.bucket * kCountCopies + c];
        }
    }
    share.sync();  // every group's bucket stands, and every member's places
}

// Each member copies the gradients of its panels that are in their group's bucket.
template <class T>
void StoredUpdate<T>::collect_candidates(Share share) {
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        std::size_t& next = offset(share.index, group_of_[i]);
        next += network_.kernels().collect_bucket(panel_size(i), panel_gradient(i, panel), groups_[group_of_[i]].kth.bucket,
                                                  candidates_.data() + next);
    });
    share.sync();  // every group's candidates are together
}

// Members share out the groups. Of each: the value of its quota-th largest, and how far those that equal it move.
template <class T>
void StoredUpdate<T>::find_thresholds(Share share) {
    for (std::size_t g = share.index; g < groups_.size(); g += share.count) {
        Group& group = groups_[g];
        const KthLargest<T> kth = find_kth_largest(candidates_.data() + group.start, group.candidates, group.kth.place);
        group.threshold = kth.value;
        group.tie_parameter = group.last;  // all of them, unless more are equal than may move
        if (kth.above + kth.equal > group.kth.place) find_ties(group, group.kth.place - kth.above);
    }
    share.sync();  // every group's threshold stands
}

// `quota` of the numbers that equal the threshold move: those of the lower index, parameter by parameter, row by row.
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
                if (key_of(value) != key_of(group.threshold) || quota-- > 0) continue;
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

// Each member updates its panels, with the multiplier of each parameter.
template <class T>
void StoredUpdate<T>::update(Share share) const {
    const Kernels<T>& kernels = network_.kernels();
    each_moving_panel(share, [&](std::size_t i, std::size_t panel, std::size_t) {
        const Parameter<T>& p = *network_.parameters()[i];
        Updates<T> scaled;
        const Updates<T>* own = updates_for(multiplier(i), &updates_, scaled);
        const Update<T>* update = p.decays ? &own->decaying : &own->other;
        const std::size_t at = panel * p.value.matrix().stride, n = panel_size(i);
        const auto slot = [&](const PanelMatrix<T>& m) { return m.buffer().data() ? m.buffer().data() + at : nullptr; };
        T* const w = p.value.matrix().data + at;
        const T* const g = panel_gradient(i, panel);
        if (optimizer_.fraction < 1) {
            const Group& group = groups_[group_of_[i]];
            const SelectedArgs<T> args{n, ties_in(group, i, panel), w, g, slot(slots1_[i]), update, group.threshold};
            kernels.update_selected(&args);
        } else {
            kernels.update(n, w, g, {slot(slots1_[i]), slot(slots2_[i])}, update);
        }
    });
}

template <class T>
void StoredUpdate<T>::apply(std::size_t first, std::size_t last, const Updates<T>& updates, Share share) {
    if (share.count > members_) {  // threads were added since `prepare`: the caller's thread does it all
        if (share.leads()) apply(first, last, updates, {0, 1, nullptr});
        share.sync();
        return;
    }
    if (share.leads()) {
        updates_ = updates;
        lay_out(first, last);
    }
    share.sync();  // all gradients are written, and the groups stand
    if (groups_.empty()) return;
    if (optimizer_.clip_norm > 0) clip(share);
    if (optimizer_.fraction < 1) {
        count_buckets(share);
        find_buckets(share);
        collect_candidates(share);
        find_thresholds(share);
    }
    update(share);
    share.sync();  // all parameters have moved
}

template class StoredUpdate<float>;
template class StoredUpdate<double>;

}  // namespace steepest
