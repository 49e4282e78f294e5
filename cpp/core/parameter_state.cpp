#include "parameter_state.hpp"

#include <algorithm>
#include <cmath>

namespace steepest {

template <class T>
ParameterState<T>::ParameterState(Network<T>& network, const Optimizer& optimizer, bool averages, bool sums)
    : rates(
          (check_size(network, optimizer.uses_slot1() + optimizer.uses_slot2() + averages + sums), network.parameters().size()),
          1.0),
      network_(network), slots1_(beside_parameters(optimizer.uses_slot1())), slots2_(beside_parameters(optimizer.uses_slot2())),
      averages_(beside_parameters(averages)), sums_(beside_parameters(sums)) {}

// Throws OutOfMemory where a network could not be held with so many matrices beside each of its own.
template <class T>
void ParameterState<T>::check_size(const Network<T>& network, int kinds) {
    const std::size_t bytes = capped_product(network.state_size(), sizeof(T) * static_cast<std::size_t>(1 + kinds));
    check_memory(bytes, "the network with what its optimizer keeps");
}

template <class T>
typename ParameterState<T>::Matrices ParameterState<T>::beside_parameters(bool wanted) const {
    Matrices matrices;
    for (const auto& p : network_.parameters()) {
        matrices.emplace_back(p->rows, wanted && p->trained ? p->columns : 0, network_.kernels().panel);
    }
    return matrices;
}

template <class T>
std::vector<Slots<T>> ParameterState<T>::slots() const {
    std::vector<Slots<T>> slots;
    for (std::size_t i = 0; i < slots1_.size(); ++i) slots.push_back({slots1_[i].matrix().data, slots2_[i].matrix().data});
    return slots;
}

template <class T>
void ParameterState<T>::clear() {
    for (auto* kept : {&slots1_, &slots2_, &averages_, &sums_}) {
        for (PanelMatrix<T>& m : *kept) std::fill_n(m.buffer().data(), m.buffer().size(), T(0));
    }
}

template <class T>
bool ParameterState<T>::is_finite() const {
    const auto is = [](const PanelMatrix<T>& m) { return all_finite(m.buffer()); };
    const auto kept = {&slots1_, &slots2_, &averages_, &sums_};
    return std::all_of(kept.begin(), kept.end(), [&](auto* all) { return std::all_of(all->begin(), all->end(), is); });
}

template <class T>
void ParameterState<T>::allocate_sums() {
    const auto has_numbers = [](const PanelMatrix<T>& sum) { return sum.buffer().data() != nullptr; };
    if (std::none_of(sums_.begin(), sums_.end(), has_numbers)) sums_ = beside_parameters(true);
}

template <class T>
template <class F>
void ParameterState<T>::each_range(Share share, F f) const {
    const auto is_trained = [this](std::size_t i) { return network_.parameters()[i]->trained; };
    each_panel(network_, 0, rates.size(), share, is_trained, [&](std::size_t i, std::size_t panel, std::size_t) {
        const Parameter<T>& p = *network_.parameters()[i];
        const std::size_t first = panel * p.value.matrix().stride;
        f(i, Range{first, first + p.rows * network_.kernels().panel});
    });
}

template <class T>
void ParameterState<T>::sum_gradients(bool adds, bool keeps, Share share) {
    each_range(share, [&](std::size_t i, Range part) {
        T* const gradient = network_.parameters()[i]->gradient.buffer().data();
        T* const sum = sums_[i].buffer().data();
        for (std::size_t k = part.begin; k < part.end; ++k) {
            if (adds) gradient[k] += sum[k];
            if (keeps) sum[k] = gradient[k];
        }
    });
}

template <class T>
void ParameterState<T>::copy_sums_to_gradients(Share share) {
    each_range(share, [&](std::size_t i, Range part) {
        const T* const sum = sums_[i].buffer().data();
        std::copy(sum + part.begin, sum + part.end, network_.parameters()[i]->gradient.buffer().data() + part.begin);
    });
}

// With Adam's correction of the bias: the average of n steps is the sum of ema^(n - i) weights_i over that of ema^(n - i).
template <class T>
void ParameterState<T>::average(double ema, std::uint64_t n_averaged, Share share) {
    const auto steps = static_cast<double>(n_averaged + 1);
    const auto rate = static_cast<T>((1 - ema) / (1 - std::pow(ema, steps)));
    each_range(share, [&](std::size_t i, Range part) {
        const T* const weights = network_.parameters()[i]->value.buffer().data();
        T* const averages = averages_[i].buffer().data();
        if (n_averaged == 0) {  // whatever they were
            std::copy(weights + part.begin, weights + part.end, averages + part.begin);
            return;
        }
        for (std::size_t k = part.begin; k < part.end; ++k) averages[k] += rate * (weights[k] - averages[k]);
    });
}

template <class T>
void ParameterState<T>::scaled_sums(double scale, T* flat) const {
    const auto factor = static_cast<T>(scale);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
        const Parameter<T>& p = *network_.parameters()[i];
        if (!p.trained) continue;
        network_.read(p, sums_[i], flat);
        for (T* end = flat + p.rows * p.columns; flat != end; ++flat) *flat *= factor;
    }
}

template class ParameterState<float>;
template class ParameterState<double>;

}  // namespace steepest
