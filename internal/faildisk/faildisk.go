// Package faildisk runs tests on a disk that cannot flush; it must never know what they test.
package faildisk
