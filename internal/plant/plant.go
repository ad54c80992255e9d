// Package plant holds bugs that a build tag plants, each a constant that is false without its tag, so that TestPlanted can
// show which test catches it; it must never know of anything else.
package plant
