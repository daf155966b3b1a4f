// Threads that walk through a step together: every one of them runs the whole program, shares out
// the items of each phase and waits for the others at its end.
#pragma once

#include <sched.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kaiwa {

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Team;

// One thread's view of the team. Items are handed out one by one, so that a thread which the
// operating system takes away holds up one item and not its share of them.
class Member {
 public:
  Member(Team* team, int index) : team_(team), index_(index) {}
  int index() const { return index_; }
  int team_size() const;
  template <class F>
  inline void each(int count, F&& work);

 private:
  Team* team_;
  int index_;
  unsigned phase_ = 0;
};

class Team {
 public:
  explicit Team(int size) { resize(size); }
  ~Team() { resize(1); }
  int size() const { return size_; }

  // Not to be called while a program runs.
  void resize(int size) {
    if (!threads_.empty()) {
      stop_ = true;
      wake();
      for (auto& thread : threads_) thread.join();
      threads_.clear();
      stop_ = false;
    }
    size_ = size < 1 ? 1 : size;
    const unsigned now = epoch_.load();
    for (int i = 1; i < size_; i++) threads_.emplace_back([this, i, now] { serve(i, now); });
  }

  // Runs the program on every thread and returns when all have ended it.
  void run(const std::function<void(Member&)>& program) {
    counters_[0] = 0;
    counters_[1] = 0;
    program_ = &program;
    if (size_ > 1) wake();
    Member me(this, 0);
    program(me);
    barrier(0);
  }

 private:
  friend class Member;
  static constexpr int kSpins = 20000;    // between steps: about as long as the host's work
  static constexpr int kPatience = 2000;  // at a barrier, before the core is offered to others

  void wake() {
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }

  void serve(int index, unsigned seen) {
    for (;;) {
      for (int i = 0; i < kSpins && epoch_.load(std::memory_order_acquire) == seen; i++) relax();
      epoch_.wait(seen, std::memory_order_acquire);
      seen++;
      if (stop_) return;
      Member me(this, index);
      (*program_)(me);
      barrier(0);
    }
  }

  void barrier(unsigned next) {
    if (size_ == 1) {
      counters_[next] = 0;
      return;
    }
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      counters_[next].store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int i = 0; round_.load(std::memory_order_acquire) == round; i++) {
      if (i < kPatience)
        relax();
      else
        sched_yield();
    }
  }

  int size_ = 1;
  bool stop_ = false;
  const std::function<void(Member&)>* program_ = nullptr;
  std::vector<std::thread> threads_;
  alignas(64) std::atomic<unsigned> epoch_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
  struct alignas(64) Counter : std::atomic<int> {
    using std::atomic<int>::operator=;
  };
  Counter counters_[2]{};
};

inline int Member::team_size() const { return team_->size(); }

template <class F>
inline void Member::each(int count, F&& work) {
  auto& counter = team_->counters_[phase_ & 1];
  for (int i; (i = counter.fetch_add(1, std::memory_order_relaxed)) < count;) work(i);
  phase_++;
  team_->barrier(phase_ & 1);
}

}  // namespace kaiwa
