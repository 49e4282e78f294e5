// What is measured of a network's outputs besides the loss.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "../kernels/kernels.hpp"

namespace steepest {

// Takes rows of outputs and targets, and says what the metrics of all of them are. Every row counts by its weight.
class MetricAccumulator {
public:
    // Names: "accuracy", "top<k>", "log_loss", "auc" and "f1" for classes, "r2", "rmse" and "mae" for numbers.
    // "subset_accuracy" where a row has several labels: the share of rows with all of them right.
    // Throws std::invalid_argument for one that does not go with the loss. `units`: what each output's numbers are
    // multiplied with to be measured, or empty.
    MetricAccumulator(std::vector<std::string> names, Loss loss, std::size_t n_out, std::vector<double> units = {});

    static std::vector<std::string> usual(Loss loss);

    // y, t: (n_out). For targets that are labels, t is null.
    void add(const double* y, const double* t, std::size_t label, double weight);

    std::vector<std::pair<std::string, double>> results(double mean_loss) const;
    std::vector<std::string> names() const;  // of the results

private:
    // Sums of one output; `origin` keeps the squares from canceling.
    struct Column {
        double origin = 0, target = 0, target_squares = 0, error_squares = 0, errors = 0;
        double true_positives = 0, false_positives = 0, false_negatives = 0;
    };
    struct Score {
        double score, positive, negative;  // the row's weight is one of the latter two
    };

    bool wants(const char* name) const;
    void add_classes(const double* y, std::size_t wanted, double weight);
    void add_labels(const double* y, const double* t, double weight);
    void add_numbers(const double* y, const double* t, double weight);
    void add_score(std::size_t column, double score, bool positive, double weight);
    double result(const std::string& name, double mean_loss) const;
    double auc() const;
    double f1() const;
    double mean_error(double Column::* sum) const;
    double r2() const;

    std::vector<std::string> names_;
    Loss loss_;
    std::size_t n_out_;
    bool wants_auc_;
    std::vector<std::size_t> tops_;  // k of each top<k>
    double weight_ = 0, correct_ = 0, all_correct_ = 0;
    std::vector<double> hits_;  // as tops_
    std::vector<Column> columns_;
    std::vector<double> units_;
    std::vector<std::vector<Score>> scores_;  // of each class that has an area under its curve
};

}  // namespace steepest
