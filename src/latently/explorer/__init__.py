"""A run in the browser: a map of its codes that decodes at the pointer, and a tool for labelling images.

    scene = Scene(RunImages(RUN, None, "auto"))     the run, its images and their codes
    serve(scene, LabelFile(...), bound(HOST, 0), ...)  serves the page on this machine
    write_static(scene, FOLDER)                     the same page as files, decoding in the browser

`scene.py` answers the page's requests; `server.py` serves it over HTTP, behind `guard.py`; `notebook.py` shows it below
a cell; `static.py` writes files. The page itself is in `page/`: HTML, CSS and JavaScript modules, with one third-party
library in `page/vendor/`.
"""
