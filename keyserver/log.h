/*
 * Log lines on stderr, and the audit trail: who came, who was refused what, which key was used how often. Any thread; a
 * line is one write(2).
 */
#ifndef SLU_KEYSERVER_LOG_H
#define SLU_KEYSERVER_LOG_H

/* Where audit lines go: a descriptor opened for appending; -1, as at start: among the log. */
void slu_log_audit_to(int fd);

void slu_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A line of the audit trail: the time, then the text. Of more than 200 a second the rest is only counted, and the
 * count written with the next line: who is refused must not fill the disk.
 */
void slu_log_audit(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
