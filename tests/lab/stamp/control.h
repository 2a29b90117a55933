/* The socket on which a running client is told of faults, and asked: one line in, an answer out. */
#ifndef SLU_TESTS_LAB_STAMP_CONTROL_H
#define SLU_TESTS_LAB_STAMP_CONTROL_H

#include <stdint.h>

/* Listens at path, a UNIX socket, which it replaces. 0 or -errno. */
int stamp_control_open(const char *path, uint32_t target_count);
void stamp_control_close(const char *path);

#endif
