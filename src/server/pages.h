/* pages.h: the files of src/server/pages/, as CMake puts them into the library. Library-private. */
#ifndef ISTHMUS_SERVER_PAGES_H
#define ISTHMUS_SERVER_PAGES_H

#include <stddef.h>

typedef struct ist__page {
    const char *type; /* its Content-Type */
    const unsigned char *data;
    size_t size;
} ist__page;

/* index.html, app.css, app.js */
extern const ist__page ist__pages[];

#endif
