// SPDX-License-Identifier: Apache-2.0
// What the stand-in libnccl offers beyond NCCL: a record of the calls, and failures on demand.
#pragma once

extern "C" {

/// The calls since the last reset, one a line, as "ncclSend 4 float32 to 1". Valid until the next call into
/// the library.
const char* nccl_standin_log();
void nccl_standin_reset();
/// The next call of this function returns `code` and does nothing. "async" makes ncclCommGetAsyncError report
/// it for good.
void nccl_standin_fail(const char* function, int code);

}  // extern "C"
