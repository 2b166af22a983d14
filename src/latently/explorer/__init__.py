"""A run in the browser: a map of its codes, a decoder under the pointer, and a place to label.

    scene = Scene(RunImages(RUN, None, "auto"))         the run, its images and their codes
    serve(scene, LabelFile(RUN / "labels.csv", ...))  the page, on an address of this machine
    write_static(scene, FOLDER)                       the same page as files, which decode in the browser

`scene.py` answers what the page asks; `server.py` puts it on HTTP, `guard.py` before it; `static.py` writes it down.
The page itself is in `page/`: HTML, CSS and JavaScript modules, with one kept library in `page/vendor/`.
"""
