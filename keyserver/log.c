#include "keyserver/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keyserver/limit.h"

#define LINE_BYTES 1024
#define AUDIT_LINES_PER_S 200u

static _Atomic int audit_fd = -1;
static struct slu_limit audit_limit = {.interval_ns = SLU_LIMIT_BURST_NS / AUDIT_LINES_PER_S};
static _Atomic uint64_t audit_left_out;

void slu_log_audit_to(int fd)
{
	atomic_store(&audit_fd, fd);
}

/* One line whatever the text holds: names come from outside. */
static void write_line(int fd, char *line)
{
	ssize_t unused;

	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	strcat(line, "\n");
	unused = write(fd, line, strlen(line));
	(void)unused;
}

void slu_log_line(const char *format, ...)
{
	char line[LINE_BYTES] = "sluice-keyd: ";
	size_t used = strlen(line);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
	va_end(arguments);
	write_line(STDERR_FILENO, line);
}

void slu_log_audit(const char *format, ...)
{
	struct timespec now, monotonic;
	char line[LINE_BYTES];
	int fd = atomic_load(&audit_fd);
	uint64_t left_out;
	struct tm date;
	va_list arguments;
	size_t used;

	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	if (!slu_limit_take(&audit_limit, (uint64_t)monotonic.tv_sec * 1000000000u + (uint64_t)monotonic.tv_nsec)) {
		atomic_fetch_add(&audit_left_out, 1);
		return;
	}
	left_out = atomic_exchange(&audit_left_out, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &date);
	used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ audit: ", &date);
	if (left_out > 0)
		used += (size_t)snprintf(
			line + used, sizeof(line) - used, "left_out=%llu ", (unsigned long long)left_out);
	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
	va_end(arguments);
	write_line(fd < 0 ? STDERR_FILENO : fd, line);
}
