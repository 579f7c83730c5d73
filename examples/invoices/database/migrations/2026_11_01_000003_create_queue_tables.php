<?php

declare(strict_types=1);

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class () extends Migration {
    public function up(): void
    {
        Schema::create('failed_jobs', function (Blueprint $table): void {
            $table->id();
            $table->string('uuid')->unique();
            $table->text('connection');
            $table->text('queue');
            $table->longText('payload');
            $table->longText('exception');
            $table->timestamp('failed_at')->useCurrent();
        });

        Schema::create('slow_job_runs', function (Blueprint $table): void {
            $table->id();
            $table->uuid('job_id')->index();
            $table->unsignedSmallInteger('seconds');
            $table->string('hostname');
            $table->unsignedInteger('process');
            $table->timestamp('started_at');
            $table->timestamp('finished_at')->nullable();
        });
    }

    public function down(): void
    {
        Schema::dropIfExists('slow_job_runs');
        Schema::dropIfExists('failed_jobs');
    }
};
