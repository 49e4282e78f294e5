// A whole fit of one trainer, which can be laid down between any two steps and taken up again by another thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tasks.hpp"
#include "trainer.hpp"

namespace steepest {

// When to stop, and which epoch's weights to keep: as EarlyStopping says.
struct StoppingRule {
    std::string monitor;  // a recorded name
    double sign;          // 1 where larger is better, else -1
    std::size_t patience;
    double min_delta;
    bool restores_best;
};

// Learning rates of steps in a row, for any number of courses.
struct RateTable {
    std::uint64_t first;  // step
    std::vector<double> rates;

    double of(std::uint64_t step) const {
        const std::uint64_t place = step < first ? 0 : step - first;
        return rates[std::min<std::uint64_t>(place, rates.size() - 1)];
    }
};

struct CourseSettings {
    std::size_t epochs, batch_size;
    bool shuffled, rolls_back;  // see Trainer.fit
    std::optional<std::vector<std::string>> metrics;
    std::vector<double> units;  // of the outputs, for the metrics
    std::optional<StoppingRule> stopping;
};

// The numbers of the epochs so far.
struct CourseRecord {
    std::vector<double> losses, rates, seconds;
    std::vector<std::string> names;             // of what is measured
    std::vector<std::vector<double>> measured;  // of each name, by epoch
};

class Course : public Task {
public:
    explicit Course(CourseSettings settings) : settings_(std::move(settings)) {}

    // Before the first step: reads all rows, block by block, until the time; false when there are none left. Throws
    // std::invalid_argument for what an epoch would refuse.
    virtual bool check(Clock::time_point until) = 0;
    // Whether its rows were checked with those of the other one.
    virtual bool has_rows_of(const Course& other) const = 0;
    // Leaves the network with the weights that a fit leaves; again is well. An epoch that is under way ends where it is.
    virtual void end() = 0;
    // Whether the trainer gives back what a step works with: of many, few have it at a time. Else what has been found out
    // about its steps stays for the next fit.
    void set_releases(bool releases) { releases_ = releases; }

    void pause_at(std::size_t epoch) { pause_ = epoch; }  // it goes on when that is set anew
    // Of the steps up to the pause; null: as the trainer has it.
    void set_rates(std::shared_ptr<const RateTable> rates) { rates_ = std::move(rates); }
    bool begun() const { return begun_; }
    bool over() const { return over_; }
    const CourseRecord& record() const { return record_; }
    const std::optional<Diverged>& divergence() const { return divergence_; }
    std::size_t n_epochs() const { return record_.losses.size(); }

protected:
    bool paused() const { return n_epochs() >= pause_; }

    const CourseSettings settings_;
    CourseRecord record_;
    std::shared_ptr<const RateTable> rates_;
    std::optional<Diverged> divergence_;
    std::size_t pause_ = 0;
    bool begun_ = false, over_ = false, releases_ = false;
};

template <class T>
class CourseOf final : public Course {
public:
    // All that is referred to outlives this; `validation` may be null.
    CourseOf(Trainer<T>& trainer, const Data& data, const Data* validation, CourseSettings settings)
        : Course(std::move(settings)), trainer_(trainer), data_(data), validation_(validation) {}

    bool check(Clock::time_point until) override;
    bool has_rows_of(const Course& other) const override;
    bool advance(Clock::time_point until) override;
    bool is_large() const override;
    void end() override;

private:
    using State = std::vector<std::vector<T>>;  // of each parameter and buffer

    bool check(const Data& data, Clock::time_point until);
    void begin();
    void take_rates();
    void begin_epoch();
    bool train(Clock::time_point until);
    bool measure(Clock::time_point until);
    void finish_epoch();
    double last_rate() const;
    void judge();
    void diverge(const Diverged& found);
    State state_of(const Network<T>& network) const;
    void restore(const State& state);

    Trainer<T>& trainer_;
    const Data& data_;
    const Data* const validation_;
    bool ended_ = false;
    std::shared_ptr<const Schedule> given_, own_;  // the trainer's, back at the end; by rates_, in its place
    std::optional<Epoch> epoch_;
    double seconds_ = 0;  // of this epoch
    std::optional<Evaluation> evaluation_;
    std::optional<Measurement<T>> measurement_;
    std::size_t checked_ = 0;  // of its data sets
    State before_;             // this epoch
    State best_;
    double best_score_, reference_;
    std::size_t waited_ = 0;
};

}  // namespace steepest
