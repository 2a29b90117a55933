#define _GNU_SOURCE
#include "host/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_log.h>

#define LINE_BYTES 1024

static enum slu_log_level threshold = SLU_LOG_INFO;

void slu_log_set_level(enum slu_log_level level)
{
	threshold = level;
}

void slu_log_line(enum slu_log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char line[LINE_BYTES];
	ssize_t unused;
	va_list arguments;
	int used;

	if (level > threshold)
		return;
	used = snprintf(line, sizeof(line), "sluiced: %s: ", names[level]);
	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	va_end(arguments);
	/* One line whatever the text holds: names come from outside. */
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
	}
	strcat(line, "\n");
	unused = write(STDERR_FILENO, line, strlen(line));
	(void)unused;
}

static ssize_t write_dpdk(void *cookie, const char *text, size_t bytes)
{
	enum slu_log_level level = SLU_LOG_DEBUG;
	size_t length = bytes;

	(void)cookie;
	while (length > 0 && text[length - 1] == '\n')
		length--;
	if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR)
		level = SLU_LOG_ERROR;
	else if (rte_log_cur_msg_loglevel() == (int)RTE_LOG_WARNING)
		level = SLU_LOG_WARNING;
	if (length > 0)
		slu_log_line(level, "%.*s", (int)length, text);
	return (ssize_t)bytes;
}

int slu_log_take_dpdk(void)
{
	cookie_io_functions_t functions = {.write = write_dpdk};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (!stream)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, LINE_BYTES);
	return rte_openlog_stream(stream);
}
