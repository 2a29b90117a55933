/*
 * The agent's log: one line an event on stderr, "sluiced: LEVEL text". Lines
 * of DPDK take the same form. Any thread; a line is one write(2).
 */
#ifndef SLU_HOST_LOG_H
#define SLU_HOST_LOG_H

enum slu_log_level { SLU_LOG_ERROR, SLU_LOG_WARNING, SLU_LOG_INFO, SLU_LOG_DEBUG };

void slu_log_line(enum slu_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines above this level are not written; SLU_LOG_INFO at start. */
void slu_log_set_level(enum slu_log_level level);

/* Sends DPDK's log through this one; its notices and below become debug lines. Call before rte_eal_init(). */
int slu_log_take_dpdk(void);

#define slu_error(...) slu_log_line(SLU_LOG_ERROR, __VA_ARGS__)
#define slu_warning(...) slu_log_line(SLU_LOG_WARNING, __VA_ARGS__)
#define slu_info(...) slu_log_line(SLU_LOG_INFO, __VA_ARGS__)
#define slu_debug(...) slu_log_line(SLU_LOG_DEBUG, __VA_ARGS__)

#endif
