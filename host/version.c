#include "host/version.h"

#ifndef SLU_VERSION
#define SLU_VERSION "unknown"
#endif

const char *slu_version_text(void)
{
	return SLU_VERSION;
}
