// SPDX-License-Identifier: Apache-2.0
// LibTorch on one thread for a while. Private to the model room.
#pragma once

#include <ATen/Parallel.h>

namespace twistor::model {

/// LibTorch's operations give the same bits for the same shapes on one thread; on several, sums are cut by
/// their number.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace twistor::model
