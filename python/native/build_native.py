"""Write the C source of isthmus._native (cffi, API mode) from the public headers: `build_native.py <include> <out.c>`.

The headers are the one definition of the interface: the compiler's preprocessor reduces isthmus.h to declarations, with
the system's headers left out, and cffi takes those. Option structs have INIT macros, which declarations cannot carry;
each `IST_<X>_INIT` becomes a function `ist_<x>_init()`, so that Python starts from the same defaults as C.
"""

import os
import re
import subprocess
import sys
import tempfile

import cffi

SYSTEM_HEADERS = ("stddef.h", "stdint.h", "stdbool.h")


def preprocess(include, *flags):
    with tempfile.TemporaryDirectory() as shims:
        for name in SYSTEM_HEADERS:
            open(os.path.join(shims, name), "w").close()
        command = [os.environ.get("CC", "gcc"), "-E", *flags, "-nostdinc", "-I", shims, "-I", include,
                   "-D__attribute__(x)=", os.path.join(include, "isthmus", "isthmus.h")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(include, out):
    declarations = preprocess(include, "-P")
    macros = preprocess(include, "-dM")
    structs = re.findall(r"^#define IST_(\w+_OPTIONS)_INIT\b", macros, re.MULTILINE)
    functions = [(f"ist_{name.lower()}", f"IST_{name}_INIT") for name in sorted(structs)]

    ffi = cffi.FFI()
    ffi.cdef(declarations)
    ffi.cdef("".join(f"{struct} {struct}_init(void);\n" for struct, _ in functions))
    source = '#include "isthmus/isthmus.h"\n'
    for struct, macro in functions:
        source += f"static {struct} {struct}_init(void)\n{{\n    {struct} options = {macro};\n    return options;\n}}\n"
    ffi.set_source("isthmus._native", source)
    ffi.emit_c_code(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
