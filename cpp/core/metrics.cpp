#include "metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace steepest {
namespace {

// The names that go with a loss, the usual ones first.
std::vector<std::string> names_for(Loss loss) {
    switch (loss) {
        case Loss::cross_entropy: return {"accuracy", "log_loss", "auc", "f1", "top<k>"};
        case Loss::binary_cross_entropy: return {"accuracy", "log_loss", "auc", "f1", "subset_accuracy"};
        case Loss::poisson: return {};
        default: return {"r2", "rmse", "mae"};
    }
}

// k of "top<k>", or 0
std::size_t top_of(const std::string& name) {
    const std::string digits = name.substr(0, 3) == "top" ? name.substr(3) : "";
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos) return 0;
    return std::stoul(digits);
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "none" : text;
}

double f1_of(double true_positives, double errors) {
    return true_positives > 0 ? 2 * true_positives / (2 * true_positives + errors) : 0;
}

}  // namespace

MetricAccumulator::MetricAccumulator(std::vector<std::string> names, Loss loss, std::size_t n_out, std::vector<double> units)
    : names_(std::move(names)), loss_(loss), n_out_(n_out), columns_(n_out), units_(std::move(units)) {
    if (units_.empty()) units_.assign(n_out, 1);
    if (units_.size() != n_out)
        throw std::invalid_argument("units has " + std::to_string(units_.size()) + " numbers, expected " +
                                    std::to_string(n_out));
    const std::vector<std::string> known = names_for(loss);
    for (const std::string& name : names_) {
        const std::size_t k = loss == Loss::cross_entropy ? top_of(name) : 0;
        if (k == 0 && (name == "top<k>" || std::find(known.begin(), known.end(), name) == known.end())) {
            throw std::invalid_argument("metrics has '" + name + "': with this loss expected of " + joined(known));
        }
        if (k > n_out) {
            throw std::invalid_argument("metrics has '" + name + "': expected at most the " + std::to_string(n_out) +
                                        " classes");
        }
        if (k > 0) tops_.push_back(k);
    }
    hits_.resize(tops_.size());
    wants_auc_ = wants("auc");
    // Of two classes the second one's curve says it all.
    if (wants_auc_) scores_.resize(loss == Loss::cross_entropy && n_out == 2 ? 1 : n_out);
}

std::vector<std::string> MetricAccumulator::usual(Loss loss) {
    std::vector<std::string> names = names_for(loss);
    if (loss == Loss::cross_entropy || loss == Loss::binary_cross_entropy) names.resize(1);
    return names;
}

bool MetricAccumulator::wants(const char* name) const { return std::find(names_.begin(), names_.end(), name) != names_.end(); }

void MetricAccumulator::add(const double* y, const double* t, std::size_t label, double weight) {
    weight_ += weight;
    switch (loss_) {
        case Loss::cross_entropy:
            add_classes(y, t ? static_cast<std::size_t>(std::max_element(t, t + n_out_) - t) : label, weight);
            break;
        case Loss::binary_cross_entropy: add_labels(y, t, weight); break;
        default: add_numbers(y, t, weight);
    }
}

void MetricAccumulator::add_classes(const double* y, std::size_t wanted, double weight) {
    const auto best = static_cast<std::size_t>(std::max_element(y, y + n_out_) - y);
    if (best == wanted) {
        correct_ += weight;
        columns_[best].true_positives += weight;
    } else {
        columns_[best].false_positives += weight;
        columns_[wanted].false_negatives += weight;
    }
    if (!tops_.empty()) {
        std::size_t rank = 0;  // classes said to be likelier; the first of equals is
        for (std::size_t c = 0; c < n_out_; ++c) rank += y[c] > y[wanted] || (y[c] == y[wanted] && c < wanted);
        for (std::size_t i = 0; i < tops_.size(); ++i) hits_[i] += rank < tops_[i] ? weight : 0;
    }
    if (!wants_auc_) return;
    if (n_out_ == 2) return add_score(0, y[1] - y[0], wanted == 1, weight);
    double sum = 0;
    for (std::size_t c = 0; c < n_out_; ++c) sum += std::exp(y[c] - y[best]);
    for (std::size_t c = 0; c < n_out_; ++c) add_score(c, std::exp(y[c] - y[best]) / sum, c == wanted, weight);
}

void MetricAccumulator::add_labels(const double* y, const double* t, double weight) {
    bool all = true;
    for (std::size_t c = 0; c < n_out_; ++c) {
        const bool said = y[c] > 0, wanted = t[c] > 0.5;
        all &= said == wanted;
        if (said == wanted) correct_ += weight / static_cast<double>(n_out_);
        Column& column = columns_[c];
        (said == wanted ? column.true_positives
         : said         ? column.false_positives
                        : column.false_negatives) += said || wanted ? weight : 0;
        if (wants_auc_) add_score(c, y[c], wanted, weight);
    }
    if (all) all_correct_ += weight;
}

void MetricAccumulator::add_numbers(const double* y, const double* t, double weight) {
    const bool first = weight_ == weight;
    for (std::size_t c = 0; c < n_out_; ++c) {
        Column& column = columns_[c];
        if (first) column.origin = t[c];
        const double offset = units_[c] * (t[c] - column.origin), error = units_[c] * (y[c] - t[c]);
        column.target += weight * offset;
        column.target_squares += weight * offset * offset;
        column.error_squares += weight * error * error;
        column.errors += weight * std::fabs(error);
    }
}

void MetricAccumulator::add_score(std::size_t column, double score, bool positive, double weight) {
    scores_[column].push_back({score, positive ? weight : 0, positive ? 0 : weight});
}

std::vector<std::pair<std::string, double>> MetricAccumulator::results(double mean_loss) const {
    std::vector<std::pair<std::string, double>> all{{"loss", mean_loss}};
    for (const std::string& name : names_) all.emplace_back(name, result(name, mean_loss));
    return all;
}

std::vector<std::string> MetricAccumulator::names() const {
    std::vector<std::string> all{"loss"};
    all.insert(all.end(), names_.begin(), names_.end());
    return all;
}

double MetricAccumulator::result(const std::string& name, double mean_loss) const {
    if (name == "accuracy") return correct_ / weight_;
    if (name == "subset_accuracy") return all_correct_ / weight_;
    if (name == "log_loss") return mean_loss;
    if (name == "auc") return auc();
    if (name == "f1") return f1();
    if (name == "r2") return r2();
    if (name == "rmse") return std::sqrt(mean_error(&Column::error_squares));
    if (name == "mae") return mean_error(&Column::errors);
    return hits_[static_cast<std::size_t>(std::find(tops_.begin(), tops_.end(), top_of(name)) - tops_.begin())] / weight_;
}

// The share of pairs, one row of the class and one of another, whose scores are in order; equal ones count half.
double MetricAccumulator::auc() const {
    double total = 0;
    for (std::vector<Score> rows : scores_) {
        std::sort(rows.begin(), rows.end(), [](const Score& a, const Score& b) { return a.score < b.score; });
        double ordered = 0, positives = 0, negatives = 0;
        for (std::size_t i = 0; i < rows.size();) {
            const double score = rows[i].score, below = negatives;
            double here = 0;
            for (; i < rows.size() && rows[i].score == score; ++i) here += rows[i].positive, negatives += rows[i].negative;
            ordered += here * (below + negatives) / 2;
            positives += here;
        }
        const bool both = positives > 0 && negatives > 0;
        total += both ? ordered / (positives * negatives) : std::numeric_limits<double>::quiet_NaN();
    }
    return total / static_cast<double>(scores_.size());
}

double MetricAccumulator::f1() const {
    const bool classes = loss_ == Loss::cross_entropy;
    double total = 0, count = 0;
    for (std::size_t c = 0; c < n_out_; ++c) {
        const Column& column = columns_[c];
        const double errors = column.false_positives + column.false_negatives;
        const double f1 = f1_of(column.true_positives, errors);
        if (classes && n_out_ == 2 && c == 1) return f1;
        if (classes && column.true_positives + errors == 0) continue;  // a class that nobody speaks of
        total += f1;
        ++count;
    }
    return count > 0 ? total / count : 0;
}

double MetricAccumulator::mean_error(double Column::* sum) const {
    double total = 0;
    for (const Column& column : columns_) total += column.*sum / weight_ / static_cast<double>(n_out_);
    return total;
}

double MetricAccumulator::r2() const {
    double total = 0;
    for (const Column& c : columns_) {
        const double spread = c.target_squares - c.target * c.target / weight_;
        total += spread > 0 ? 1 - c.error_squares / spread : c.error_squares > 0 ? 0 : 1;
    }
    return total / static_cast<double>(n_out_);
}

}  // namespace steepest
