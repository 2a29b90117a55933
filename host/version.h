/*
 * Which build of the agent this is: the text that `make VERSION=TEXT` gives, else date and hash of the commit.
 */
#ifndef SLU_HOST_VERSION_H
#define SLU_HOST_VERSION_H

const char *slu_version_text(void);

#endif
