// The second road to every answer: the architectures in double precision, written from their papers
// with whole matrices, no cache, no batch, no tricks. Only the file reader is shared with the
// engine.
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "experts/moe/gguf.h"
#include "experts/moe/kernels/kernels.h"

namespace moe::testing {

class Reference {
 public:
  using Matrix = Eigen::MatrixXd;
  using Vector = Eigen::VectorXd;

  explicit Reference(const Gguf& gguf) : gguf_(gguf), a_(*gguf.string("general.architecture")) {
    heads_ = integer("attention.head_count");
    latent_ = a_ == "deepseek2";
    const int head = integer("embedding_length") / heads_;
    head_k_ = integer("attention.key_length_mla", integer("attention.key_length", head));
    head_v_ = integer("attention.value_length_mla", integer("attention.value_length", head));
    heads_kv_ = latent_ ? heads_ : integer("attention.head_count_kv", heads_);
    rope_ = integer("rope.dimension_count", head_k_);
    eps_ = number("attention.layer_norm_rms_epsilon", 1e-5);
    neox_ = a_ == "olmoe" || a_.starts_with("qwen");
  }

  /// Logits [tokens, vocabulary] after each token.
  Matrix run(const std::vector<int>& tokens) {
    const Matrix table = matrix("token_embd.weight");
    Matrix x(static_cast<int>(tokens.size()), table.cols());
    for (int t = 0; t < x.rows(); ++t) x.row(t) = table.row(tokens[static_cast<std::size_t>(t)]);
    x *= number("embedding_scale", 1);
    const double residual = number("residual_scale", 1);
    for (int layer = 0; layer < integer("block_count"); ++layer) {
      blk_ = "blk." + std::to_string(layer) + ".";
      x += residual * (latent_ ? latent_attention(norm(x, blk_ + "attn_norm"))
                               : attention(norm(x, blk_ + "attn_norm")));
      x += residual * feed_forward(norm(x, blk_ + "ffn_norm"));
    }
    const bool tied = gguf_.tensor("output.weight") == nullptr;
    return norm(x, "output_norm") * (tied ? table : matrix("output.weight")).transpose() /
           number("logit_scale", 1);
  }

 private:
  int integer(const std::string& key, std::optional<int> otherwise = {}) const {
    const auto value = gguf_.integer(a_ + "." + key);
    return value ? static_cast<int>(*value) : otherwise.value();
  }

  double number(const std::string& key, double otherwise) const {
    return gguf_.number(a_ + "." + key).value_or(otherwise);
  }

  bool has(const std::string& name) const { return gguf_.tensor(name) != nullptr; }

  /// [rows, cols]; stacked tensors have their slices below each other.
  Matrix matrix(const std::string& name) const {
    const Tensor& tensor = *gguf_.tensor(name);
    std::vector<float> row(static_cast<std::size_t>(tensor.ne[0]));
    Matrix m(tensor.rows(), tensor.ne[0]);
    for (int r = 0; r < m.rows(); ++r) {
      dequantize(tensor.type,
                 reinterpret_cast<const unsigned char*>(tensor.data) +
                     static_cast<std::size_t>(r) * tensor.row_bytes(),
                 row.size(), row.data());
      for (int c = 0; c < m.cols(); ++c)
        m(r, c) = static_cast<double>(row[static_cast<std::size_t>(c)]);
    }
    return m;
  }

  Vector vector(const std::string& name) const {
    const Matrix m = matrix(name);
    return m.reshaped<Eigen::RowMajor>();
  }

  Matrix norm(Matrix x, const std::string& name) const {
    const Vector w = vector(name + ".weight");
    for (int t = 0; t < x.rows(); ++t) {
      for (int first = 0; first < x.cols(); first += static_cast<int>(w.size())) {
        auto part = x.row(t).segment(first, w.size());
        part = (part / std::sqrt(part.squaredNorm() / static_cast<double>(w.size()) + eps_))
                   .cwiseProduct(w.transpose());
      }
    }
    return x;
  }

  /// RoPE on columns [first, first + rope_) of every row, row t at position t.
  void rotate(Matrix& x, int first) const {
    const double factor = number("rope.scaling.factor", 1);
    const bool yarn = gguf_.string(a_ + ".rope.scaling.type").value_or("") == "yarn";
    const double base = number("rope.freq_base", 10000);
    const auto corner = [&](double turns) {
      const double context = number("rope.scaling.original_context_length", 1);
      return rope_ * std::log(context / (turns * 2 * M_PI)) / (2 * std::log(base));
    };
    const double low = std::max(0.0, std::floor(corner(32)));
    const double high = std::min(rope_ - 1.0, std::ceil(corner(1)));
    for (int t = 0; t < x.rows(); ++t) {
      for (int p = 0; p < rope_ / 2; ++p) {
        double frequency = std::pow(base, -2.0 * p / rope_);
        if (yarn) {
          const double ramp = std::clamp((p - low) / std::max(0.001, high - low), 0.0, 1.0);
          frequency = frequency * (1 - ramp) + frequency / factor * ramp;
        }
        double& a = x(t, first + (neox_ ? p : 2 * p));
        double& b = x(t, first + (neox_ ? p + rope_ / 2 : 2 * p + 1));
        const double angle = t * frequency, u = a, v = b;
        a = u * std::cos(angle) - v * std::sin(angle);
        b = u * std::sin(angle) + v * std::cos(angle);
      }
    }
  }

  /// One head: causal softmax(q k^T scale) v.
  static Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v, double scale) {
    Matrix out(q.rows(), v.cols());
    for (int t = 0; t < q.rows(); ++t) {
      Vector s = (k.topRows(t + 1) * q.row(t).transpose()) * scale;
      s = (s.array() - s.maxCoeff()).exp();
      out.row(t) = (s / s.sum()).transpose() * v.topRows(t + 1);
    }
    return out;
  }

  Matrix attention(const Matrix& x) const {
    const auto project = [&](const std::string& part) {
      Matrix y = x * matrix(blk_ + "attn_" + part + ".weight").transpose();
      if (has(blk_ + "attn_" + part + ".bias")) {
        y.rowwise() += vector(blk_ + "attn_" + part + ".bias").transpose();
      }
      return has(blk_ + "attn_" + part + "_norm.weight") ? norm(y, blk_ + "attn_" + part + "_norm")
                                                         : y;
    };
    Matrix q = project("q"), k = project("k");
    const Matrix v = project("v");
    for (int h = 0; h < heads_; ++h) rotate(q, h * head_k_);
    for (int h = 0; h < heads_kv_; ++h) rotate(k, h * head_k_);
    const double scale = number("attention.scale", 1 / std::sqrt(static_cast<double>(head_k_)));
    Matrix out(x.rows(), heads_ * head_v_);
    for (int h = 0; h < heads_; ++h) {
      const int g = h / (heads_ / heads_kv_);
      out.middleCols(h * head_v_, head_v_) =
          attend(q.middleCols(h * head_k_, head_k_), k.middleCols(g * head_k_, head_k_),
                 v.middleCols(g * head_v_, head_v_), scale);
    }
    return out * matrix(blk_ + "attn_output.weight").transpose();
  }

  Matrix latent_attention(const Matrix& x) const {
    const int nope = head_k_ - rope_;
    const int rank = integer("attention.kv_lora_rank");
    Matrix q;
    if (has(blk_ + "attn_q_a.weight")) {
      q = norm(x * matrix(blk_ + "attn_q_a.weight").transpose(), blk_ + "attn_q_a_norm") *
          matrix(blk_ + "attn_q_b.weight").transpose();
    } else {
      q = x * matrix(blk_ + "attn_q.weight").transpose();
    }
    Matrix kv = x * matrix(blk_ + "attn_kv_a_mqa.weight").transpose();
    rotate(kv, rank);
    const Matrix latent = norm(kv.leftCols(rank), blk_ + "attn_kv_a_norm");
    const double log_mul = number("rope.scaling.yarn_log_multiplier", 0);
    const double m = 1 + log_mul * std::log(number("rope.scaling.factor", 1));
    Matrix out(x.rows(), heads_ * head_v_);
    for (int h = 0; h < heads_; ++h) {
      rotate(q, h * head_k_ + nope);
      Matrix k(x.rows(), head_k_), v;
      if (has(blk_ + "attn_k_b.weight")) {
        k.leftCols(nope) = latent * matrix(blk_ + "attn_k_b.weight").middleRows(h * rank, rank);
        v = latent * matrix(blk_ + "attn_v_b.weight").middleRows(h * head_v_, head_v_).transpose();
      } else {
        const Matrix both =
            matrix(blk_ + "attn_kv_b.weight").middleRows(h * (nope + head_v_), nope + head_v_);
        k.leftCols(nope) = latent * both.topRows(nope).transpose();
        v = latent * both.bottomRows(head_v_).transpose();
      }
      k.rightCols(rope_) = kv.rightCols(rope_);
      out.middleCols(h * head_v_, head_v_) =
          attend(q.middleCols(h * head_k_, head_k_), k, v,
                 m * m / std::sqrt(static_cast<double>(head_k_)));
    }
    return out * matrix(blk_ + "attn_output.weight").transpose();
  }

  static Matrix network(const Matrix& x, const Matrix& gate, const Matrix& up, const Matrix& down) {
    const Matrix g = x * gate.transpose();
    const Matrix h =
        (g.array() / (1 + (-g.array()).exp())).matrix().cwiseProduct(x * up.transpose());
    return h * down.transpose();
  }

  Matrix named_network(const Matrix& x, const std::string& suffix) const {
    return network(x, matrix(blk_ + "ffn_gate" + suffix + ".weight"),
                   matrix(blk_ + "ffn_up" + suffix + ".weight"),
                   matrix(blk_ + "ffn_down" + suffix + ".weight"));
  }

  /// Weight of every expert for one row of router logits; 0: not chosen.
  Vector gate(const Vector& z) const {
    const int experts = static_cast<int>(z.size());
    const bool sigmoid = integer("expert_gating_func", 1) == 2;
    Vector s =
        sigmoid ? Vector(1 / (1 + (-z.array()).exp())) : Vector((z.array() - z.maxCoeff()).exp());
    if (!sigmoid) s /= s.sum();
    Vector choice = s;
    if (has(blk_ + "exp_probs_b.bias")) choice += vector(blk_ + "exp_probs_b.bias");
    const int groups = integer("expert_group_count", 1);
    const auto best = [](const Vector& v, int count) {
      std::vector<int> order(static_cast<std::size_t>(v.size()));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return v(i) > v(j); });
      order.resize(static_cast<std::size_t>(count));
      return order;
    };
    if (groups > 1) {
      const int size = experts / groups;
      Vector score(groups);
      for (int g = 0; g < groups; ++g) {
        Vector part = choice.segment(g * size, size);
        std::sort(part.begin(), part.end(), std::greater<>());
        score(g) = part(0) + part(1);
      }
      Vector limited = Vector::Constant(experts, -1e300);
      for (const int g : best(score, integer("expert_group_used_count"))) {
        limited.segment(g * size, size) = choice.segment(g * size, size);
      }
      choice = limited;
    }
    Vector weights = Vector::Zero(experts);
    for (const int e : best(choice, integer("expert_used_count"))) weights(e) = s(e);
    const bool renormalise = gguf_.boolean(a_ + ".expert_weights_norm")
                                 .value_or(a_ == "llama" || a_ == "qwen3moe" || a_ == "granitemoe");
    if (renormalise) weights /= weights.sum();
    return weights * number("expert_weights_scale", 1);
  }

  Matrix feed_forward(const Matrix& x) const {
    if (!has(blk_ + "ffn_gate_inp.weight")) return named_network(x, "");
    const Matrix logits = x * matrix(blk_ + "ffn_gate_inp.weight").transpose();
    const Matrix gates = matrix(blk_ + "ffn_gate_exps.weight"),
                 ups = matrix(blk_ + "ffn_up_exps.weight"),
                 downs = matrix(blk_ + "ffn_down_exps.weight");
    const auto experts = logits.cols();
    const auto f = gates.rows() / experts, d = x.cols();
    Matrix out = Matrix::Zero(x.rows(), d);
    for (int t = 0; t < x.rows(); ++t) {
      const Vector weights = gate(logits.row(t).transpose());
      for (int e = 0; e < experts; ++e) {
        if (weights(e) == 0) continue;
        out.row(t) += weights(e) * network(x.row(t), gates.middleRows(e * f, f),
                                           ups.middleRows(e * f, f), downs.middleRows(e * d, d));
      }
    }
    if (has(blk_ + "ffn_gate_shexp.weight")) {
      Matrix shared = named_network(x, "_shexp");
      if (has(blk_ + "ffn_gate_inp_shexp.weight")) {
        const Vector z = x * vector(blk_ + "ffn_gate_inp_shexp.weight");
        shared.array().colwise() *= 1 / (1 + (-z.array()).exp());
      }
      out += shared;
    }
    return out;
  }

  const Gguf& gguf_;
  std::string a_, blk_;
  int heads_ = 0, heads_kv_ = 0, head_k_ = 0, head_v_ = 0, rope_ = 0;
  double eps_ = 0;
  bool neox_ = false, latent_ = false;
};

}  // namespace moe::testing
