// Makes plans: each kind of layer adds its items to the lists, and the memory that they need.
#pragma once

#include <vector>

#include "network.hpp"
#include "plan.hpp"

namespace steepest {

// A plan for batches of up to `capacity` rows. The network outlives it, and keeps its layers. `slots` has an entry for each of
// the network's parameters where the mode is train; else it may be empty.
template <class T>
Plan<T> make_plan(Network<T>& network, std::size_t capacity, Mode mode, const std::vector<Slots<T>>& slots = {});

// Takes the memory that a backward pass needs in each thread, so that none is asked for when parameters have begun to move.
template <class T>
void prepare_thread(const Kernels<T>& kernels);

}  // namespace steepest
