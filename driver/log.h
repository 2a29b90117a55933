/* The driver's lines in DPDK's log, type pmd.net.sluice. Any thread. */
#ifndef SLU_DRIVER_LOG_H
#define SLU_DRIVER_LOG_H

#include <stdint.h>

#include <rte_log.h>

/* SLU_LOG(ERR, "%s: ...", name): one line. */
#define SLU_LOG(level, ...) slu_log_line(RTE_LOG_##level, __VA_ARGS__)

void slu_log_line(uint32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
