// What `engine.native.library` calls: plain C, one handle per model.
#include <memory>

#include "decoder.h"
#include "draw.h"

namespace {

struct Engine {
  kaiwa::Team team;
  kaiwa::Drawers drawers;
  std::unique_ptr<kaiwa::Decoder<kaiwa::F32>> f32;
  std::unique_ptr<kaiwa::Decoder<kaiwa::BF16>> bf16;
  Engine(const kaiwa::Model& model, int threads) : team(threads) {
    if (model.kind == kaiwa::kBF16)
      bf16 = std::make_unique<kaiwa::Decoder<kaiwa::BF16>>(model);
    else
      f32 = std::make_unique<kaiwa::Decoder<kaiwa::F32>>(model);
  }
};

}  // namespace

extern "C" {

void* kaiwa_create(const kaiwa::Model* model, int32_t threads) { return new Engine(*model, threads); }

void kaiwa_destroy(void* engine) { delete static_cast<Engine*>(engine); }

void kaiwa_set_threads(void* engine, int32_t threads) {
  static_cast<Engine*>(engine)->team.resize(threads);
}

void kaiwa_step(void* handle, const kaiwa::Step* step) {
  Engine& engine = *static_cast<Engine*>(handle);
  if (engine.bf16)
    engine.bf16->run(engine.team, *step);
  else
    engine.f32->run(engine.team, *step);
}

void kaiwa_draw(void* handle, const kaiwa::DrawRow* rows, int32_t count, int32_t vocab, int32_t* tokens) {
  Engine& engine = *static_cast<Engine*>(handle);
  engine.drawers.run(engine.team, rows, count, vocab, tokens);
}

// Sizes of the structures, so that a caller who lays them out otherwise is found out.
void kaiwa_sizes(int32_t* sizes) {
  sizes[0] = sizeof(kaiwa::Linear);
  sizes[1] = sizeof(kaiwa::Layer);
  sizes[2] = sizeof(kaiwa::Model);
  sizes[3] = sizeof(kaiwa::Step);
  sizes[4] = sizeof(kaiwa::DrawRow);
}

const char* kaiwa_features() {
#if defined(__AVX512BF16__)
  return "avx512-bf16"
#elif defined(__AVX512F__)
  return "avx512"
#elif defined(__AVX2__)
  return "avx2"
#elif defined(__ARM_NEON)
  return "neon"
#else
  return "generic"
#endif
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
      " vnni"
#elif defined(__ARM_FEATURE_MATMUL_INT8)
      " i8mm"
#endif
      ;
}
}
