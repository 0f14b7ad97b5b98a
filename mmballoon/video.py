"""Detect on a video, a camera or a folder of frames, and write what was seen.

NumPy and OpenCV, and PyAV where it is installed: it writes a frame twenty times as fast as OpenCV's VP9.
"""

import contextlib
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np

from mmballoon.cli import IMG_EXTENSIONS, UserError, read_image

CODECS = ('avc1', 'vp09', 'mp4v')  # H.264, VP9 (both play in browsers), MPEG-4 (does not)
VIDEOS = '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v'
FOLDER_FPS = 25


class Source:
    """Frames of a video file, a camera (its number) or a folder of images.

    Iterating gives (frame (H, W, 3) uint8 BGR, its time in seconds). OpenCV turns the frames as the
    file's rotation says. ``count`` is the number of frames or 0, ``fps`` their mean rate.

    Raises:
        UserError: no such file or folder.
    """

    def __init__(self, path):
        self.path, folder = path, Path(path)
        self.camera, self.capture, self.files = str(path).isdecimal(), None, []
        if folder.is_dir():
            images = [p for p in folder.iterdir() if p.suffix.lower() in IMG_EXTENSIONS]
            self.files = sorted(images, key=_in_order)
            self.count, self.fps = len(self.files), FOLDER_FPS
        elif self.camera or folder.is_file():
            self.capture = cv2.VideoCapture(int(path) if self.camera else str(path))
            fps, frames = map(self.capture.get, (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
            known = 0 < fps < 1000  # browsers write 1000: that of their clock
            self.fps, self.count = (fps, max(0, int(frames))) if known else (FOLDER_FPS, 0)
        else:
            raise UserError(path, 'no such file or folder', 'check the path')

    def __iter__(self):
        for i, file in enumerate(self.files):
            with contextlib.suppress(UserError, OSError):  # annotate says how many could be read
                yield read_image(file), i / self.fps
        if not self.capture:
            return
        start, last, shift = time.monotonic(), 0, 0
        for i in count():
            read, frame = self.capture.read()
            if not read:
                return
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self.camera:
                seconds = time.monotonic() - start
            seconds = seconds if seconds > 0 else i / self.fps
            if seconds + shift < last:  # recordings that were joined: each counts from 0
                shift = last + 1 / self.fps - seconds
            last = seconds + shift
            yield frame, last


def _in_order(path):
    """Key that sorts frame2 before frame10."""
    return [int(t) if t.isdecimal() else t for t in re.split(r'(\d+)', path.name)]


class Writer:
    """A video file of constant frame rate, whole after ``close`` also when it was interrupted.

    Frames are repeated or left out so that a source of variable rate keeps its duration. ``codec``, after
    the first frame, is H.264 (VP9 for .webm) by PyAV, else the first of CODECS that this OpenCV has.

    Raises:
        UserError: the suffix of the file is none of VIDEOS.
    """

    def __init__(self, path, fps):
        self.path, self.fps = Path(path), fps
        if self.path.suffix.lower() not in VIDEOS:
            found = f'its suffix is none of {", ".join(VIDEOS)}'
            raise UserError(path, found, 'name an .mp4 file for --out')
        self.codec, self.size, self.writer, self.written = None, None, None, 0

    def write(self, frame, seconds):
        if self.writer is None:
            self._open(frame)
        if frame.shape[1::-1] != self.size:  # a folder of frames may hold several sizes
            frame = cv2.resize(frame, self.size)
        while self.written <= round(seconds * self.fps):
            self.writer.write(frame)
            self.written += 1

    def _open(self, frame):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = frame.shape[:2]
        self.size = width - width % 2, height - height % 2  # codecs take even sizes only
        with contextlib.suppress(ImportError):
            self.writer = _Encoder(self.path, self.fps, self.size)
            self.codec = self.writer.codec
            return
        for codec in CODECS:
            settings = cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), self.fps, self.size
            self.writer = cv2.VideoWriter(str(self.path), *settings)
            if self.writer.isOpened():
                self.codec = codec
                return
        raise UserError(self.path, 'OpenCV cannot write this file', 'name an .mp4 file for --out')

    def close(self):
        if self.writer:
            self.writer.release()


class _Encoder:
    """What cv2.VideoWriter is, by PyAV. Raises ImportError where that is missing, or has no encoder."""

    def __init__(self, path, fps, size):
        import av

        self.codec, encoder, options = 'avc1', 'libx264', {'preset': 'veryfast'}
        if path.suffix.lower() == '.webm':  # which holds no H.264
            self.codec, encoder = 'vp09', 'libvpx-vp9'
            options = {'deadline': 'realtime', 'cpu-used': '8'}
        if encoder not in av.codecs_available:
            raise ImportError
        path.touch(exist_ok=False)
        self.path, self.made = path.absolute(), path.stat()
        self.file = av.open(str(self.path), 'w')  # 10:30.mp4 would be of the protocol "10"
        rate = Fraction(fps).limit_denominator(1001)  # 29.97 is 30000 / 1001
        self.stream = self.file.add_stream(encoder, rate=rate, options=options)
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = 'yuv420p'  # which every browser plays
        self.file.start_encoding()  # opens the file now, not with the first frame that is ready
        self.frame = partial(av.VideoFrame.from_ndarray, format='bgr24')

    def write(self, frame):
        self.file.mux(self.stream.encode(self.frame(frame)))

    def release(self):
        try:
            self.file.mux(self.stream.encode())
            self.file.close()
        except OSError:  # a full disk: without its end, nothing plays the file
            with contextlib.suppress(OSError):  # an error here would hide the first one
                if os.path.samestat(self.path.stat(), self.made):  # nobody has replaced it
                    self.path.unlink()
            raise


def annotate(source, detect, draw, out=None, batch=1, show=False, wait_time=0.001):
    """Detect on every frame of a Source, draw, and write or show it; returns the number of frames.

    detect: function from a list of frames to a list of detections. draw: function (frame,
    detections) that draws in place. out: a Writer, or None. batch: frames at a time. show: in a
    window, until q or Escape is pressed; wait_time: seconds for each frame there, 0 to wait for a key.

    Raises:
        UserError: no frame can be read.
    """
    done, start, total = 0, time.monotonic(), 0 if source.camera else source.count
    try:
        with contextlib.closing(_batches(source, batch)) as batches:
            for items in batches:
                for (frame, at), detections in zip(items, detect([frame for frame, _ in items])):
                    draw(frame, detections)
                    if out:
                        out.write(frame, at)
                    if show:
                        cv2.imshow('detections', frame)
                        if cv2.waitKey(round(wait_time * 1000)) & 0xFF in (ord('q'), 27):
                            return done
                    done += 1
                rate = done / max(time.monotonic() - start, 1e-6)
                left = f' of {total}, {max(0, total - done) / rate:.0f} s left' if total else ''
                print(f'\r{done}{left}, {rate:.1f} frames per second  ', end='', file=sys.stderr)
    finally:
        if out:
            out.close()
        print(file=sys.stderr)
    if not done:
        raise UserError(source.path, 'no frame in it that can be read', 'check the video')
    if done < 0.95 * total:
        print(f'note: {done} of about {total} frames could be read', file=sys.stderr)
    return done


def check_window():
    """Raise a UserError where no window can be opened: OpenCV's Qt would end the process."""
    display = sys.platform != 'linux' or {'DISPLAY', 'WAYLAND_DISPLAY'} & os.environ.keys()
    if not display or not cv2.currentUIFramework():
        raise UserError('--show', 'no window can be opened here', 'pass --out instead')


def _batches(items, size):
    """Lists of ``size`` items; while one is in use, a thread reads the next."""
    items = iter(items)
    with ThreadPoolExecutor(1) as thread:
        batch = list(islice(items, size))
        while batch:
            following = thread.submit(list, islice(items, size))
            yield batch
            batch = following.result()


def draw_boxes(image, detections, classes, palette, thresholds):
    """Draw the boxes with at least the minimum score of their class into an image, in place.

    image: (H, W, 3) uint8 BGR. detections: (boxes (K, 4) x1 y1 x2 y2 in pixels, scores (K), labels
    (K)), and perhaps masks (K, H, W) bool. palette, thresholds: an RGB colour and a minimum score for each class.
    """
    width = max(1, round(max(image.shape) / 400))
    for box, score, label, *mask in zip(*detections):
        if score >= thresholds[label]:
            color = tuple(int(value) for value in palette[label][::-1])
            x1, y1, x2, y2 = (round(float(value)) for value in box)
            if mask:
                image[mask[0]] = image[mask[0]] // 2 + np.array(color, np.uint8) // 2
            cv2.rectangle(image, (x1, y1), (x2, y2), color, width)
            text, place = f'{classes[label]}: {100 * score:.1f}', (x1 + width, y1 + 12 * width)
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, color, width)
