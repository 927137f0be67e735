/* export.h: which symbols libisthmus exports. Everything else is hidden. */
#ifndef ISTHMUS_EXPORT_H
#define ISTHMUS_EXPORT_H

#ifdef __cplusplus
#define IST_BEGIN_DECLS extern "C" {
#define IST_END_DECLS }
#else
#define IST_BEGIN_DECLS
#define IST_END_DECLS
#endif

#define IST_API __attribute__((visibility("default")))

#endif
