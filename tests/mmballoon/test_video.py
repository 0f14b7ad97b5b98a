"""Videos in and out, with clips that OpenCV makes here."""

import errno
import sys
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from mmballoon.cli import UserError
from mmballoon.video import CODECS, Source, Writer, annotate, check_window, draw_boxes


def clip(path, count=20, size=(64, 48), fps=10):
    """A video whose frame i has the gray value 10 * i."""
    writer = Writer(path, fps)
    for i in range(count):
        writer.write(np.full((size[1], size[0], 3), 10 * i % 256, np.uint8), i / fps)
    writer.close()
    return path


def read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def nothing(frames):
    return [None] * len(frames)


def ignore(frame, detections):
    pass


@pytest.mark.parametrize('batch, with_av', [(1, True), (8, True), (8, False)])
def test_every_frame_arrives_in_order_and_the_duration_stays(tmp_path, batch, with_av, monkeypatch):
    if with_av:
        pytest.importorskip('av')
    else:
        monkeypatch.setitem(sys.modules, 'av', None)
    source = Source(clip(tmp_path / 'a.mp4'))
    writer = Writer(tmp_path / 'b.mp4', source.fps)
    assert annotate(source, nothing, ignore, writer, batch) == 20
    frames, fps = read(tmp_path / 'b.mp4')
    assert len(frames) == 20 and fps == 10 and writer.codec in (['avc1'] if with_av else CODECS)
    assert np.allclose(
        [frame.mean() for frame in frames], 10 * np.arange(20), atol=8
    )  # two lossy passes


def test_a_variable_frame_rate_keeps_its_duration(tmp_path):
    writer = Writer(tmp_path / 'a.mp4', 10)
    for seconds in (0, 0.1, 0.5, 0.52, 1.0):  # a gap, and two frames at one time
        writer.write(np.zeros((48, 64, 3), np.uint8), seconds)
    writer.close()
    assert len(read(tmp_path / 'a.mp4')[0]) == 11


def test_ctrl_c_leaves_a_video_that_plays(tmp_path):
    def interrupt(frame, detections):
        if frame.mean() > 95:
            raise KeyboardInterrupt

    source, threads = Source(clip(tmp_path / 'a.mp4')), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        annotate(source, nothing, interrupt, Writer(tmp_path / 'b.mp4', 10))
    assert 8 <= len(read(tmp_path / 'b.mp4')[0]) <= 12 and threading.active_count() == threads


def test_a_folder_of_frames_of_two_sizes_and_odd_sides(tmp_path):
    for i, shape in enumerate([(49, 65, 3), (30, 30, 3)]):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full(shape, 100 * i, np.uint8))
    (tmp_path / 'notes.txt').write_text('no image')
    source = Source(tmp_path)
    assert annotate(source, nothing, ignore, Writer(tmp_path / 'b.mp4', source.fps)) == 2
    assert [frame.shape for frame in read(tmp_path / 'b.mp4')[0]] == [(48, 64, 3)] * 2


@pytest.mark.parametrize('content', [b'', b'no video', None, 'cut'])
def test_what_is_no_video_ends_in_one_line(tmp_path, content):
    path = tmp_path / 'a.mp4'
    if content == 'cut':  # its index is at the end, and gone
        path.write_bytes(clip(tmp_path / 'whole.mp4').read_bytes()[:900])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r'a\.mp4: no .*; next: check the'):
        annotate(Source(path), nothing, ignore, Writer(tmp_path / 'b.mp4', 10))
    assert not (tmp_path / 'b.mp4').exists()


def test_a_video_that_ends_early_is_read_up_to_there(tmp_path, capsys):
    path = tmp_path / 'a.webm'  # has no index at its end
    path.write_bytes(clip(tmp_path / 'whole.webm', 60).read_bytes()[:-900])
    assert 0 < annotate(Source(path), nothing, ignore) < 60


def test_boxes_and_masks_from_the_minimum_score_of_their_class_are_drawn():
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[10, 10, 50, 50], [60, 60, 90, 90], [60, 10, 90, 40]], np.float32)
    masks = np.zeros((3, 100, 100), bool)
    masks[0, 20:40, 20:40] = masks[1, 70:80, 70:80] = True
    detections = boxes, [0.9, 0.4, 0.4], [1, 0, 1], masks
    draw_boxes(image, detections, ['a', 'b'], [(1, 2, 3), (250, 0, 5)], [0.5, 0.3])
    assert image[30, 10].tolist() == image[30, 60].tolist() == [5, 0, 250]
    assert image[30, 30].tolist() == [2, 0, 125] and not image[55:].any()


@pytest.mark.parametrize('name', ['a.xyz', 'a.gif', 'a.ogg', 'a.jpg', 'a'])
def test_a_file_of_another_kind(tmp_path, name):
    with pytest.raises(UserError, match=r'suffix is none of \.mp4, .*; next: name an \.mp4 file'):
        Writer(tmp_path / name, 25)


def test_recordings_that_were_joined_keep_all_frames(tmp_path):
    av = pytest.importorskip('av')
    for name, count in (('a.ts', 20), ('b.ts', 15)):  # the times of b.ts begin again
        with av.open(str(tmp_path / name), 'w') as file:
            stream = file.add_stream('libx264', rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
            for _ in range(count):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), 'bgr24')
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    joined = tmp_path / 'joined.ts'
    joined.write_bytes(b''.join((tmp_path / name).read_bytes() for name in ('a.ts', 'b.ts')))
    source = Source(joined)
    assert annotate(source, nothing, ignore, Writer(tmp_path / 'out.mp4', source.fps)) == 35
    assert len(read(tmp_path / 'out.mp4')[0]) == 35


def test_the_clock_of_a_browser_is_no_frame_rate(tmp_path):
    av = pytest.importorskip('av')
    with av.open(str(tmp_path / 'a.webm'), 'w') as file:  # as MediaRecorder writes it
        stream = file.add_stream('libvpx', rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), 'bgr24')
            frame.pts = 33 * i + i % 3
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    source = Source(tmp_path / 'a.webm')
    assert annotate(source, nothing, ignore, Writer(tmp_path / 'b.mp4', source.fps)) == 30
    assert len(read(tmp_path / 'b.mp4')[0]) == 25  # 0.96 s


def test_frames_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for i in (1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f'frame{i}.png'), np.full((8, 8, 3), i, np.uint8))
    turned = Image.Exif()
    turned[0x112] = 6
    Image.new('RGB', (12, 8), (11, 11, 11)).save(tmp_path / 'frame11.tif', exif=turned)
    (tmp_path / 'frame3.jpg').mkdir()  # neither it nor a link to nothing is a frame
    (tmp_path / 'frame4.jpg').symlink_to(tmp_path / 'nothing')
    frames = [frame for frame, _ in Source(tmp_path)]
    assert [int(frame.mean()) for frame in frames] == [1, 2, 9, 10, 11]
    assert frames[-1].shape == (12, 8, 3)


def test_a_name_with_a_colon_and_a_file_that_is_there(tmp_path, monkeypatch):
    pytest.importorskip('av')
    monkeypatch.chdir(tmp_path)
    clip('10:30.mp4')
    assert len(read(tmp_path / '10:30.mp4')[0]) == 20
    with pytest.raises(FileExistsError) as caught:
        clip('10:30.mp4')
    assert str(caught.value.filename) == '10:30.mp4'  # PyAV's own errors name no file


def test_show_without_a_window_is_one_line(monkeypatch):
    monkeypatch.setattr(cv2, 'currentUIFramework', lambda: '')  # opencv-python-headless
    monkeypatch.setenv('DISPLAY', ':0')
    with pytest.raises(UserError, match='--show: no window can be opened here; next: pass --out'):
        check_window()
    monkeypatch.setattr(cv2, 'currentUIFramework', lambda: 'QT')
    check_window()
    monkeypatch.setattr(sys, 'platform', 'linux')
    monkeypatch.delenv('DISPLAY')
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    with pytest.raises(UserError, match='--show: no window'):
        check_window()


@pytest.mark.parametrize('replaced', [False, True])
def test_only_the_own_file_is_removed_when_the_disk_is_full(tmp_path, monkeypatch, replaced):
    """A file that somebody put in its place meanwhile stays, and the first error is the one reported."""
    pytest.importorskip('av')
    path = tmp_path / 'out.mp4'
    writer = Writer(path, 25)
    writer.write(np.zeros((64, 64, 3), np.uint8), 0)

    def full():
        raise OSError(errno.ENOSPC, 'No space left on device')

    container = writer.writer.file
    monkeypatch.setattr(writer.writer, 'file', SimpleNamespace(mux=container.mux, close=full))
    if replaced:
        path.rename(tmp_path / 'moved.mp4')
        path.write_bytes(b'of somebody')
    with pytest.raises(OSError, match='No space left'):
        writer.close()
    container.close()
    assert path.exists() == replaced
    if replaced:
        assert path.read_bytes() == b'of somebody'
