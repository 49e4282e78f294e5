#include "course.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steepest {
namespace {

constexpr double kWorkPerClock = 2e6;    // between two looks at the clock, in floating-point operations
constexpr double kLargeBytes = 1 << 20;  // of what a step reads and writes: about a core's own cache
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

template <class T>
bool CourseOf<T>::is_large() const {
    double bytes = static_cast<double>(trainer_.network().state_size() * sizeof(T));
    for (const auto* slots : {&trainer_.state().slots1(), &trainer_.state().slots2()}) {
        for (const auto& slot : *slots) bytes += static_cast<double>(slot.buffer().size() * sizeof(T));
    }
    return bytes > kLargeBytes;
}

template <class T>
bool CourseOf<T>::check(Clock::time_point until) {
    if (checked_ == 0 && check(data_, until)) return true;
    if (checked_ == 1 && validation_ && check(*validation_, until)) return true;
    if (releases_) trainer_.release();
    return false;
}

template <class T>
bool CourseOf<T>::check(const Data& data, Clock::time_point until) {
    if (!measurement_) measurement_.emplace(trainer_.begin_measurement(data, nullptr));
    while (!measurement_->over()) {
        if (Clock::now() >= until) return true;
        measurement_->advance();
    }
    check_positive(measurement_->weight(), data.weights.name);
    measurement_.reset();
    ++checked_;
    return false;
}

template <class T>
bool CourseOf<T>::has_rows_of(const Course& other) const {
    const auto* of_type = dynamic_cast<const CourseOf*>(&other);
    if (!of_type || !(of_type->trainer_.loss() == trainer_.loss())) return false;
    if (of_type->trainer_.network().n_out() != trainer_.network().n_out()) return false;
    if (of_type->trainer_.network().n_in() != trainer_.network().n_in()) return false;
    const auto same = [](const Data& a, const Data& b) {
        return !a.places && !b.places && a.x == b.x && a.y == b.y && a.weights == b.weights;
    };
    return same(data_, of_type->data_) && !validation_ == !of_type->validation_ &&
           (!validation_ || same(*validation_, *of_type->validation_));
}

template <class T>
bool CourseOf<T>::advance(Clock::time_point until) {
    if (!begun_) begin();
    if (epoch_ == std::nullopt) take_rates();
    while (!over_ && !paused()) {
        const auto start = Clock::now();
        if (start >= until) return true;
        if (!epoch_) begin_epoch();
        try {
            const bool goes_on = train(until) || measure(until);
            seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
            if (goes_on) return true;
            finish_epoch();
        } catch (const Diverged& found) {
            diverge(found);
        }
    }
    if (over_) end();
    return false;
}

template <class T>
void CourseOf<T>::begin() {
    begun_ = true;
    best_score_ = reference_ = -kInfinity;
    const ReadAccess access(trainer_.network().access());
    given_ = trainer_.schedule();
}

// The rates stand in the place of the trainer's schedule, unless somebody has set another one meanwhile.
template <class T>
void CourseOf<T>::take_rates() {
    if (!rates_) return;
    auto own =
        std::make_shared<const Schedule>(Schedule{[rates = rates_](std::uint64_t step) { return rates->of(step); }, false});
    if (trainer_.replace_schedule(own_ ? own_ : given_, own)) own_ = std::move(own);
}

template <class T>
void CourseOf<T>::begin_epoch() {
    if (settings_.rolls_back) before_ = state_of(trainer_.network());
    seconds_ = 0;
    epoch_ = trainer_.begin_epoch(data_, settings_.batch_size, settings_.shuffled);
}

// True where the time was over first.
template <class T>
bool CourseOf<T>::train(Clock::time_point until) {
    if (evaluation_) return false;  // it has been trained, and is being measured
    while (!epoch_->over()) {
        work_ += trainer_.advance(*epoch_, kWorkPerClock);
        if (!epoch_->over() && Clock::now() >= until) return true;
    }
    trainer_.end_epoch();
    if (trainer_.is_finite()) return false;
    // The last step's loss was finite, but not what it made of the weights.
    Progress there = [this] {
        const ReadAccess access(trainer_.network().access());
        return trainer_.progress();
    }();
    there.epoch -= 1;
    there.n_steps -= there.n_steps > 0;
    throw Diverged(there, std::nan(""));
}

template <class T>
bool CourseOf<T>::measure(Clock::time_point until) {
    if (!validation_) return false;
    if (!evaluation_) {
        const Loss loss = trainer_.loss().loss;
        const auto metrics = settings_.metrics.value_or(MetricAccumulator::usual(loss));
        evaluation_.emplace(Evaluation{{metrics, loss, trainer_.network().n_out(), settings_.units}, {}});
        measurement_.emplace(trainer_.begin_measurement(*validation_, &*evaluation_));
    }
    while (!measurement_->over()) {
        if (Clock::now() >= until) return true;
        work_ += measurement_->advance();
    }
    return false;
}

template <class T>
void CourseOf<T>::finish_epoch() {
    record_.losses.push_back(epoch_->mean_loss());
    record_.rates.push_back(last_rate());
    record_.seconds.push_back(seconds_);
    if (evaluation_) {
        const auto results = evaluation_->results();
        record_.names.resize(results.size()), record_.measured.resize(results.size());
        for (std::size_t i = 0; i < results.size(); ++i) {
            record_.names[i] = results[i].first;
            record_.measured[i].push_back(results[i].second);
        }
    }
    epoch_.reset(), measurement_.reset(), evaluation_.reset();
    over_ = n_epochs() == settings_.epochs;
    if (settings_.stopping) judge();
}

template <class T>
double CourseOf<T>::last_rate() const {
    const ReadAccess access(trainer_.network().access());  // others may set the rate or the schedule meanwhile
    const std::uint64_t steps = trainer_.progress().n_steps;
    const bool by_rates = own_ && trainer_.schedule() == own_;  // a last batch that weighs nothing is no step
    return by_rates ? rates_->of(steps - (steps > 0)) : trainer_.progress().learning_rate;
}

// As EarlyStopping.on_epoch_end.
template <class T>
void CourseOf<T>::judge() {
    const StoppingRule& rule = *settings_.stopping;
    double value = record_.losses.back();
    for (std::size_t i = 0; i < record_.names.size(); ++i) {
        if (rule.monitor == "val_" + record_.names[i]) value = record_.measured[i].back();
    }
    const double score = rule.sign * value;
    if (score > best_score_) {
        best_score_ = score;
        if (rule.restores_best) {
            const auto averaged = trainer_.averaged_network();
            best_ = state_of(averaged ? *averaged : trainer_.network());
        }
    }
    if (score > reference_ + rule.min_delta) {
        reference_ = score, waited_ = 0;
    } else if (++waited_ >= rule.patience) {
        over_ = true;
    }
}

template <class T>
void CourseOf<T>::diverge(const Diverged& found) {
    divergence_ = found;
    over_ = true;
    if (settings_.rolls_back) restore(before_);
    trainer_.reset();
}

template <class T>
void CourseOf<T>::end() {
    if (!begun_ || ended_) return;
    ended_ = true;
    epoch_.reset(), measurement_.reset(), evaluation_.reset();
    if (!best_.empty()) {
        restore(best_);
        trainer_.forget_average();
    }
    best_ = {}, before_ = {};
    if (own_) trainer_.replace_schedule(own_, std::move(given_));
    if (releases_) trainer_.release();
}

template <class T>
typename CourseOf<T>::State CourseOf<T>::state_of(const Network<T>& network) const {
    State state;
    const ReadAccess access(network.access());
    for (const auto& p : network.parameters())
        state.emplace_back(p->value.buffer().data(), p->value.buffer().data() + p->value.buffer().size());
    return state;
}

template <class T>
void CourseOf<T>::restore(const State& state) {
    const WriteAccess access(trainer_.network().access(), Claim::exclude);
    for (std::size_t i = 0; i < state.size(); ++i) {
        std::copy(state[i].begin(), state[i].end(), trainer_.network().parameters()[i]->value.buffer().data());
    }
}

template class CourseOf<float>;
template class CourseOf<double>;

}  // namespace steepest
