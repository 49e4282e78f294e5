#include "plan.hpp"

namespace steepest {

// At each meeting, all that the item before it writes stands in memory, and nobody reads it yet.
template <class T>
void Plan<T>::run(const std::vector<PlanItem<T>>& list, const PassArgs<T>& pass, Share share) {
    bool first = true;
    for (const PlanItem<T>& item : list) {
        if (!first) share.sync();
        item(pass, share);
        first = false;
    }
}

template <class T>
void Plan<T>::forward_from(std::size_t turn, const PassArgs<T>& pass, Share share) const {
    for (std::size_t i = parts_.turns[turn].forward; i < parts_.forward.size(); ++i) {
        parts_.forward[i](pass, share);
        share.sync();
    }
}

// See the table at LayerwiseItem. The items of a layer stand together, so the first one past the turn's ends the pass.
template <class T>
void Plan<T>::backward_to(std::size_t turn, const PassArgs<T>& pass, Share share) const {
    bool reached = false;
    for (const LayerwiseItem<T>& item : parts_.layerwise) {
        const bool in_turn = item.turn == turn;
        if (reached && !in_turn) return;
        reached = in_turn;
        if (item.makes == (in_turn ? Makes::input_gradient : Makes::parameter_gradient)) continue;
        item.run(pass, share);
        share.sync();
    }
}

template class Plan<float>;
template class Plan<double>;

}  // namespace steepest
