// SPDX-License-Identifier: Apache-2.0

// Package spans lets a part of podtrail report by OpenTelemetry spans: they are kept in the process, bounded, for
// telemetry/serve to hand out, and sent to a collector as well if the environment names one.
package spans

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The variables that name a collector, from OpenTelemetry's specification. The exporter reads the others of them, such
// as OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_CERTIFICATE, itself.
const (
	endpointVariable       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	protocolVariable       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	tracesProtocolVariable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// protocol is the one that kube-apiserver, kubelet and containerd speak too.
const protocol = "grpc"

// shutdownTimeout bounds what sending the last spans may take.
const shutdownTimeout = 5 * time.Second

// limits bounds one span. The list attributes count once, whatever their length; who sets them bounds them.
var limits = sdktrace.SpanLimits{
	AttributeValueLengthLimit:   16 << 10,
	AttributeCountLimit:         128,
	EventCountLimit:             2048,
	LinkCountLimit:              128,
	AttributePerEventCountLimit: 32,
	AttributePerLinkCountLimit:  32,
}

// Options say who reports, and where to.
type Options struct {
	// Service and Version become service.name and service.version.
	Service string
	Version string
	// Keep holds the spans in this process; nil holds none.
	Keep *Keeper
	// Log gets the collector's failures; the process goes on without it.
	Log logr.Logger
}

// Provider makes tracers. It is a runnable of controller-runtime: started with a manager, it ends with it.
type Provider struct {
	sdk *sdktrace.TracerProvider
}

// New returns a provider, or nil if spans would go nowhere: nothing keeps them and the environment names no collector.
// It does not wait for the collector. A part must make its spans only if it was given a tracer, so that reporting
// costs nothing when it is off.
func New(ctx context.Context, o Options) (*Provider, error) {
	exports := os.Getenv(endpointVariable) != "" || os.Getenv(tracesEndpointVariable) != ""
	if o.Keep == nil && !exports {
		return nil, nil
	}
	options := []sdktrace.TracerProviderOption{
		// What is kept has to be whole; to keep a part of what is sent is the collector's task.
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version))),
	}
	if o.Keep != nil {
		options = append(options, sdktrace.WithSpanProcessor(o.Keep))
	}
	if exports {
		if err := checkProtocol(); err != nil {
			return nil, err
		}
		exporter, err := otlptracegrpc.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("making the exporter that %s asks for: %w", endpointVariable, err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Error(err, "Could not send spans") }))
	}
	return &Provider{sdk: sdktrace.NewTracerProvider(options...)}, nil
}

func checkProtocol() error {
	for _, variable := range []string{protocolVariable, tracesProtocolVariable} {
		if value := os.Getenv(variable); value != "" && value != protocol {
			return fmt.Errorf("%s is %q: only %q is spoken here; unset it, or set it so", variable, value, protocol)
		}
	}
	return nil
}

// Tracer returns the tracer of that name, and nil from a nil provider.
func (p *Provider) Tracer(name string) trace.Tracer {
	if p == nil {
		return nil
	}
	return p.sdk.Tracer(name)
}

// Start waits until ctx ends and then shuts down.
func (p *Provider) Start(ctx context.Context) error {
	<-ctx.Done()
	return p.Shutdown()
}

// NeedLeaderElection lets every replica of a manager report.
func (p *Provider) NeedLeaderElection() bool { return false }

// Shutdown sends what has not been sent, for at most 5 s.
func (p *Provider) Shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := p.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last spans: %w", err)
	}
	return nil
}
