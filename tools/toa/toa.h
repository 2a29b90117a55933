/* What the kernel's part and the loader of sluice-toa share. */
#ifndef SLU_TOOLS_TOA_H
#define SLU_TOOLS_TOA_H

enum slu_toa_count {
	SLU_TOA_COUNT_KEPT,      /* connections whose caller was told and is trusted */
	SLU_TOA_COUNT_UNTRUSTED, /* connections of others that tell one */
	SLU_TOA_COUNT_TOLD,      /* answers of getpeername() and accept() that were changed */
	SLU_TOA_COUNT_NO_MEMORY,
	SLU_TOA_COUNT_MAX,
};

#endif
