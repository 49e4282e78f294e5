// What training keeps beside each parameter, in the parameter's own layout: the optimizer's slots, the average of the
// weights, and the sum of gradients that wait for their step; and its learning rate.
#pragma once

#include <cstdint>
#include <vector>

#include "network.hpp"
#include "optimizer.hpp"
#include "parallel.hpp"

namespace steepest {

template <class T>
class ParameterState {
public:
    using Matrices = std::vector<PanelMatrix<T>>;  // one for each parameter, empty where there is none

    // `averages`, `sums`: whether there are such. The network outlives this.
    ParameterState(Network<T>& network, const Optimizer& optimizer, bool averages, bool sums);

    const Matrices& slots1() const { return slots1_; }
    const Matrices& slots2() const { return slots2_; }
    const Matrices& averages() const { return averages_; }
    const Matrices& sums() const { return sums_; }
    std::vector<Slots<T>> slots() const;  // as a plan takes them
    void clear();
    bool is_finite() const;
    void allocate_sums();

    // Learning rates by parameter, relative to the step's and beside the multipliers of the network.
    std::vector<double> rates;

    // Each member of a team calls these, for its share of the panels. The team does not meet in them.
    // The gradients take in the sums where `adds`; the sums become the gradients where `keeps`.
    void sum_gradients(bool adds, bool keeps, Share share);
    void copy_sums_to_gradients(Share share);
    // The averages keep `ema` of themselves and take in the weights; n_averaged: steps that they have seen.
    void average(double ema, std::uint64_t n_averaged, Share share);

    void scaled_sums(double scale, T* flat) const;  // (numbers of all trained parameters), row-major

private:
    static void check_size(const Network<T>& network, int kinds);
    Matrices beside_parameters(bool wanted) const;
    // f(parameter's index, range of numbers) for this member's share of the panels of all trained parameters. The numbers
    // lie there in the parameter and in whatever stands beside it.
    template <class F>
    void each_range(Share share, F f) const;

    Network<T>& network_;
    Matrices slots1_, slots2_, averages_, sums_;
};

}  // namespace steepest
