/*
 * The epoch of this start: a number that grows with every start of the node, so that
 * peers can tell its datagrams from recorded older ones. Never a clock, which may step.
 */
#ifndef SLU_HOST_EPOCH_H
#define SLU_HOST_EPOCH_H

#include <stdint.h>

/*
 * Raises the counter in `state_dir` above what it was and to at least `floor` (0, or
 * a number that outlives the folder), and has it on disk when it returns.
 *
 * Returns 0; -EINVAL if the file has something else in it; other -errno.
 */
int slu_epoch_raise(const char *state_dir, uint64_t floor, uint64_t *epoch);

#endif
