/* version.h: the library's version. */
#ifndef ISTHMUS_VERSION_H
#define ISTHMUS_VERSION_H

#include "isthmus/export.h"

#define IST_VERSION "0.1.0"

IST_BEGIN_DECLS

/* The version of the library at run time. Static storage. */
IST_API const char *ist_version(void);

IST_END_DECLS

#endif
