/*
 * What the process gives up before it serves: dumps, swapping, being looked into, its user, most system calls.
 */
#ifndef SLU_KEYSERVER_HARDEN_H
#define SLU_KEYSERVER_HARDEN_H

#include <stdbool.h>

/* No core dumps, and memory that stays in memory. Before any key is read. Returns 0; -errno with a line in the log. */
int slu_harden_memory(bool lock);

/* Becomes a user, with its group and no others, for good; NULL: stays who it is. Then it cannot be traced. */
int slu_harden_user(const char *user);

/* Only the system calls that serving needs, in every thread; anything else ends the process. Last. */
int slu_harden_system_calls(void);

#endif
