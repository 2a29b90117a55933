/*
 * The process that an operator sees: holds every listening socket, starts the
 * workers and starts them again, reloads (SIGHUP), reopens logs (SIGUSR1),
 * hands everything to a new binary (SIGUSR2), ends in order (SIGTERM, SIGQUIT)
 * or at once (SIGINT), and tells the metrics.
 */
#ifndef SLU_L7_SUPERVISOR_H
#define SLU_L7_SUPERVISOR_H

/* Serves the document at `path` until told to end. Returns the exit status. */
int slu_supervisor_run(const char *path, char **argv);

/* Reads and checks the document, says what is wrong. Returns the exit status. */
int slu_supervisor_check(const char *path);

#endif
