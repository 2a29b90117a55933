#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES 512

RTE_LOG_REGISTER(slu_log_type, pmd.net.sluice, NOTICE);

void slu_log_line(uint32_t level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	rte_log(level, (uint32_t)slu_log_type, "net_sluice: %s\n", line);
}
